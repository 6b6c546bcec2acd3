# The rights of roles, statement by statement.

mock_provider "aws" {
  source          = "./tests/mocks"
  override_during = plan
}

variables {
  name      = "lab"
  read_only = [{ bucket = "maps", prefix = "platemaps/" }, { bucket = "gallery" }]
}

run "a_job_reads_sources_and_writes_profiles" {
  command = plan

  assert {
    condition = jsonencode({ for statement in data.aws_iam_policy_document.job.statement : statement.sid => [sort(statement.actions), sort(statement.resources)] }) == jsonencode({
      List0 = [["s3:ListBucket"], ["arn:aws:s3:::lab-source-123456789012-eu-central-1"]]
      List1 = [["s3:ListBucket"], ["arn:aws:s3:::maps"]]
      List2 = [["s3:ListBucket"], ["arn:aws:s3:::gallery"]]
      Read = [["s3:GetObject"], [
        "arn:aws:s3:::gallery/*", "arn:aws:s3:::lab-results-123456789012-eu-central-1/jobs/*",
        "arn:aws:s3:::lab-source-123456789012-eu-central-1/uploads/*", "arn:aws:s3:::maps/platemaps/*",
      ]]
      Uploads = [["s3:ListBucketMultipartUploads"], ["arn:aws:s3:::lab-results-123456789012-eu-central-1"]]
      Write = [
        ["s3:AbortMultipartUpload", "s3:DeleteObject", "s3:GetObject", "s3:ListMultipartUploadParts", "s3:PutObject"],
        ["arn:aws:s3:::lab-results-123456789012-eu-central-1/profiles/*"],
      ]
    })
    error_message = "The job's role may do something else."
  }

  assert {
    condition = jsonencode([for statement in data.aws_iam_policy_document.job.statement : [for condition in statement.condition : [condition.variable, sort(condition.values)]] if startswith(statement.sid, "List")]) == jsonencode([
      [["s3:prefix", ["uploads", "uploads/*"]]], [["s3:prefix", ["platemaps", "platemaps/*"]]], [["s3:prefix", ["*"]]],
    ])
    error_message = "The job's role may list more than its prefixes."
  }
}

run "a_container_is_started_and_no_more" {
  command = plan

  assert {
    condition = jsonencode({ for statement in data.aws_iam_policy_document.start_container.statement : statement.sid => [sort(statement.actions), sort(statement.resources)] }) == jsonencode({
      Image         = [["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"], ["arn:aws:ecr:eu-central-1:123456789012:repository/mock"]]
      Logs          = [["logs:CreateLogStream", "logs:PutLogEvents"], ["arn:aws:logs:eu-central-1:123456789012:log-group:mock:log-stream:*"]]
      RegistryToken = [["ecr:GetAuthorizationToken"], ["*"]]
    })
    error_message = "The execution role may do something else."
  }
}

run "an_image_elsewhere_makes_no_repository" {
  command = plan

  variables {
    image = "210987654321.dkr.ecr.us-west-2.amazonaws.com/tools/cytobatch@sha256:0000"
  }

  assert {
    condition     = length(aws_ecr_repository.this) == 0 && output.repository_url == null && output.image == var.image
    error_message = "A repository is made, or another image used."
  }

  assert {
    condition = jsonencode([for statement in data.aws_iam_policy_document.start_container.statement : tolist(statement.resources) if statement.sid == "Image"]) == jsonencode([
      ["arn:aws:ecr:us-west-2:210987654321:repository/tools/cytobatch"]
    ])
    error_message = "Another repository may be read than the image's."
  }
}

run "a_public_image_needs_no_registry" {
  command = plan

  variables {
    image = "ghcr.io/example/cytobatch:1.0.0"
  }

  assert {
    condition     = [for statement in data.aws_iam_policy_document.start_container.statement : statement.sid] == ["Logs"]
    error_message = "A registry may be asked that is not needed."
  }
}

run "a_submitter_submits_and_follows" {
  command = plan

  assert {
    condition = jsonencode({ for statement in data.aws_iam_policy_document.submitter.statement : statement.sid => sort(statement.actions) if !startswith(statement.sid, "List") }) == jsonencode({
      Follow     = ["batch:DescribeJobDefinitions", "batch:DescribeJobQueues", "batch:DescribeJobs", "batch:ListJobs"]
      Read       = ["s3:GetObject"]
      ReadLogs   = ["logs:GetLogEvents"]
      Submit     = ["batch:SubmitJob"]
      WriteSpecs = ["s3:AbortMultipartUpload", "s3:PutObject"]
    })
    error_message = "A submitter may do something else."
  }

  assert {
    condition = jsonencode([for statement in data.aws_iam_policy_document.submitter.statement : tolist(statement.resources) if statement.sid == "WriteSpecs"]) == jsonencode([
      ["arn:aws:s3:::lab-results-123456789012-eu-central-1/jobs/*"]
    ])
    error_message = "A submitter may write elsewhere than below jobs/."
  }
}
