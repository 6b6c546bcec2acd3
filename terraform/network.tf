# A VPC of public subnets, made unless subnets are given. There is no NAT: nothing here costs anything at rest, and the jobs'
# traffic with S3 goes through the gateway endpoint.

locals {
  own_network        = var.subnet_ids == null
  zones              = local.own_network ? slice(data.aws_availability_zones.this[0].names, 0, min(3, length(data.aws_availability_zones.this[0].names))) : []
  subnet_ids         = local.own_network ? [for zone in local.zones : aws_subnet.this[zone].id] : var.subnet_ids
  security_group_ids = local.own_network ? [aws_security_group.jobs[0].id] : var.security_group_ids
  assign_public_ip   = local.own_network || var.assign_public_ip
}

# The VPC of the given subnets.
data "aws_subnet" "given" {
  count = local.own_network ? 0 : 1

  id = var.subnet_ids[0]
}

data "aws_availability_zones" "this" {
  #checkov:skip=CKV_AWS_394:The first three zones are taken, whichever the region has; subnet_ids names others
  count = local.own_network ? 1 : 0

  state = "available"

  # Local and Wavelength zones have neither Fargate nor Spot.
  filter {
    name   = "opt-in-status"
    values = ["opt-in-not-required"]
  }
}

resource "aws_vpc" "this" {
  #checkov:skip=CKV2_AWS_11:Flow logs would cost at rest; nothing listens in this VPC
  count = local.own_network ? 1 : 0

  cidr_block           = var.vpc_cidr
  enable_dns_support   = true
  enable_dns_hostnames = true
  tags                 = merge(local.tags, { Name = var.name })
}

# Nothing uses the default group, so it allows no traffic.
resource "aws_default_security_group" "this" {
  count = local.own_network ? 1 : 0

  vpc_id = aws_vpc.this[0].id
  tags   = local.tags
}

resource "aws_internet_gateway" "this" {
  count = local.own_network ? 1 : 0

  vpc_id = aws_vpc.this[0].id
  tags   = merge(local.tags, { Name = var.name })
}

resource "aws_subnet" "this" {
  #checkov:skip=CKV_AWS_130:Jobs reach ECR and CloudWatch through the internet gateway, for a NAT would cost at rest; nothing may connect to them
  for_each = { for index, zone in local.zones : zone => index }

  vpc_id                  = aws_vpc.this[0].id
  availability_zone       = each.key
  cidr_block              = cidrsubnet(var.vpc_cidr, 2, each.value)
  map_public_ip_on_launch = true
  tags                    = merge(local.tags, { Name = "${var.name}-${each.key}" })
}

resource "aws_route_table" "this" {
  count = local.own_network ? 1 : 0

  vpc_id = aws_vpc.this[0].id
  tags   = merge(local.tags, { Name = var.name })
}

resource "aws_route" "internet" {
  count = local.own_network ? 1 : 0

  route_table_id         = aws_route_table.this[0].id
  destination_cidr_block = "0.0.0.0/0"
  gateway_id             = aws_internet_gateway.this[0].id
}

resource "aws_route_table_association" "this" {
  for_each = aws_subnet.this

  subnet_id      = each.value.id
  route_table_id = aws_route_table.this[0].id
}

resource "aws_vpc_endpoint" "s3" {
  count = local.own_network ? 1 : 0

  vpc_id            = aws_vpc.this[0].id
  service_name      = "com.amazonaws.${local.region}.s3"
  vpc_endpoint_type = "Gateway"
  route_table_ids   = [aws_route_table.this[0].id]
  tags              = merge(local.tags, { Name = "${var.name}-s3" })
}

resource "aws_security_group" "jobs" {
  count = local.own_network ? 1 : 0

  name_prefix = "${var.name}-jobs-"
  description = "Jobs of ${var.name}: HTTPS out, nothing in"
  vpc_id      = aws_vpc.this[0].id
  tags        = merge(local.tags, { Name = "${var.name}-jobs" })

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_vpc_security_group_egress_rule" "https" {
  count = local.own_network ? 1 : 0

  security_group_id = aws_security_group.jobs[0].id
  description       = "S3, ECR, ECS and CloudWatch Logs"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  cidr_ipv4         = "0.0.0.0/0"
  tags              = local.tags
}
