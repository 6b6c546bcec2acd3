# A cluster for the tasks of a Prefect work pool. Fargate provides the hosts, so the cluster is a name, and costs nothing.

resource "aws_ecs_cluster" "this" {
  #checkov:skip=CKV_AWS_65:Container insights cost for each task; Prefect and the log group show what a task does
  count = var.ecs_cluster ? 1 : 0

  name = var.name
  tags = local.tags
}
