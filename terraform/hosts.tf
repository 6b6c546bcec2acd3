# EC2 Spot hosts: the image's own root disk, and a scratch volume that is made and deleted with the host.

resource "aws_launch_template" "this" {
  count = local.has_ec2 ? 1 : 0

  name_prefix = "${var.name}-ec2-spot-"
  description = "Hosts of ${var.name}: scratch on a volume of its own, IMDSv2, two minutes to stop"
  user_data   = base64encode(templatefile("${path.module}/templates/host.mime.tftpl", { script = file("${path.module}/templates/host.sh") }))
  tags        = local.tags

  # The ECS image's root disk is /dev/xvda, and has 30 GiB.
  block_device_mappings {
    device_name = "/dev/xvda"

    ebs {
      volume_type           = "gp3"
      volume_size           = 30
      encrypted             = true
      delete_on_termination = true
    }
  }

  block_device_mappings {
    device_name = "/dev/xvdb"

    ebs {
      volume_type           = "gp3"
      volume_size           = var.ec2.scratch_gib
      iops                  = var.ec2.scratch_iops
      throughput            = var.ec2.scratch_mib_s
      encrypted             = true
      delete_on_termination = true
    }
  }

  # A hop limit of 1 keeps the host's role from containers, which get their own role from ECS.
  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  dynamic "tag_specifications" {
    for_each = ["instance", "volume"]

    content {
      resource_type = tag_specifications.value
      tags          = merge(local.tags, { Name = "${var.name}-ec2-spot" })
    }
  }

  lifecycle {
    create_before_destroy = true
  }
}
