# The image's repository, made unless the image is named.

locals {
  image = var.image == null ? "${aws_ecr_repository.this[0].repository_url}:${var.image_tag}" : var.image

  # account.dkr.ecr.region.amazonaws.com/name: a private repository, whose ARN follows from it.
  named_ecr = try(regex("^([0-9]{12})[.]dkr[.]ecr[.]([a-z0-9-]+)[.]amazonaws[.]com(?:[.]cn)?/([a-z0-9._/-]+)", var.image), null)
  repository_arns = (
    var.image == null ? [aws_ecr_repository.this[0].arn] :
    local.named_ecr == null ? [] :
    ["arn:${local.partition}:ecr:${local.named_ecr[1]}:${local.named_ecr[0]}:repository/${local.named_ecr[2]}"]
  )
}

resource "aws_ecr_repository" "this" {
  #checkov:skip=CKV_AWS_51:immutable_tags decides; the default tag, latest, moves with each push
  #checkov:skip=CKV_AWS_136:The image holds no secret, and is encrypted with AES-256
  count = var.image == null ? 1 : 0

  name                 = var.name
  image_tag_mutability = var.immutable_tags ? "IMMUTABLE" : "MUTABLE"
  # An image can be built again from the source. Plates cannot, so buckets have force_destroy.
  force_delete = true
  tags         = local.tags

  image_scanning_configuration {
    scan_on_push = true
  }
}

resource "aws_ecr_lifecycle_policy" "this" {
  count = var.image == null ? 1 : 0

  repository = aws_ecr_repository.this[0].name
  policy = jsonencode({
    rules = [
      {
        rulePriority = 1
        description  = "Images that have lost their tag go after a week"
        selection    = { tagStatus = "untagged", countType = "sinceImagePushed", countUnit = "days", countNumber = 7 }
        action       = { type = "expire" }
      },
      {
        rulePriority = 2
        description  = "The ten newest are kept"
        selection    = { tagStatus = "any", countType = "imageCountMoreThan", countNumber = 10 }
        action       = { type = "expire" }
      },
    ]
  })
}
