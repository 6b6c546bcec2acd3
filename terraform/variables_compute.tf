# The image, the compute that jobs run on, and the network.

variable "image" {
  description = "The container image, with its tag or digest, where it is not in the repository made here. A private ECR repository of any account may be named. Null makes a repository."
  type        = string
  default     = null

  validation {
    condition     = var.image == null || can(regex("^[^[:space:]]+$", var.image))
    error_message = "image: as registry/repository:tag or registry/repository@sha256:…, without spaces."
  }
}

variable "image_tag" {
  description = "The tag of the image in the repository made here. A version (as 1.4.0) or a revision makes runs repeatable."
  type        = string
  default     = "latest"
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$", var.image_tag))
    error_message = "image_tag: up to 128 letters, digits, and _ . -, not beginning with . or -."
  }
}

variable "immutable_tags" {
  description = "Whether a pushed tag can never be moved to another image. With true, image_tag must change with every push."
  type        = bool
  default     = false
  nullable    = false

  validation {
    condition     = !var.immutable_tags || var.image_tag != "latest"
    error_message = "immutable_tags: give image_tag a version too; `latest` could be pushed only once."
  }
}

variable "compute_kinds" {
  description = "The kinds of compute to have: fargate, fargate_spot (cheaper, may be interrupted) and ec2_spot (for plates beyond 200 GiB of scratch)."
  type        = set(string)
  default     = ["fargate", "fargate_spot", "ec2_spot"]
  nullable    = false

  validation {
    condition     = length(var.compute_kinds) > 0 && length(setsubtract(var.compute_kinds, ["fargate", "fargate_spot", "ec2_spot"])) == 0
    error_message = "compute_kinds: one or more of fargate, fargate_spot and ec2_spot."
  }
}

variable "max_vcpus" {
  description = "The vCPUs that may run at once in each kind of compute; they bound its cost."
  type = object({
    fargate      = optional(number, 64)
    fargate_spot = optional(number, 256)
    ec2_spot     = optional(number, 256)
  })
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for vcpus in values(var.max_vcpus) : vcpus >= 1 && floor(vcpus) == vcpus])
    error_message = "max_vcpus: whole numbers, at least 1."
  }

  validation {
    condition     = var.max_vcpus.ec2_spot >= 8
    error_message = "max_vcpus: ec2_spot is at least 8, the vCPUs of one host."
  }
}

variable "queue_priority" {
  description = "The order of jobs if two queues want the same vCPUs: the queue with the higher number goes first. `events` are jobs that uploads start, `submitted` those of `cytobatch submit`."
  type = object({
    submitted = optional(number, 10)
    events    = optional(number, 20)
  })
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for priority in values(var.queue_priority) : priority >= 0 && priority <= 1000 && floor(priority) == priority])
    error_message = "queue_priority: whole numbers from 0 to 1000."
  }
}

variable "fair_share" {
  description = "How people share the queues: `cytobatch submit` gives share_identifier; weights are those of further identifiers (2 gets half of what 1 gets); usage older than decay_seconds does not count; reserve is the percentage kept for identifiers without jobs. Null is first in, first out."
  type = object({
    share_identifier = optional(string, "default")
    weights          = optional(map(number), {})
    decay_seconds    = optional(number, 3600)
    reserve          = optional(number, 0)
  })
  default = {}

  validation {
    condition = var.fair_share == null ? true : alltrue([
      for identifier in concat([var.fair_share.share_identifier], keys(var.fair_share.weights)) : can(regex("^[A-Za-z0-9]{1,255}$", identifier))
    ])
    error_message = "fair_share: identifiers are letters and digits."
  }

  validation {
    condition     = var.fair_share == null ? true : alltrue([for weight in values(var.fair_share.weights) : weight >= 0.0001 && weight <= 999.9999])
    error_message = "fair_share: weights are 0.0001 to 999.9999."
  }

  validation {
    condition = var.fair_share == null ? true : (
      var.fair_share.decay_seconds >= 600 && var.fair_share.decay_seconds <= 604800 && var.fair_share.reserve >= 0 && var.fair_share.reserve <= 99
    )
    error_message = "fair_share: decay_seconds is 600 to 604800, reserve 0 to 99."
  }
}

variable "job_defaults" {
  description = "The size of a job that requests no other, such as those started by events: vCPUs and memory, which must be a pair that Fargate offers, and hours until it is ended. On EC2 only the hours count, because each job gets a host."
  type = object({
    vcpus         = optional(number, 2)
    memory_mib    = optional(number, 8192)
    timeout_hours = optional(number)
  })
  default  = {}
  nullable = false

  validation {
    condition = var.job_defaults.memory_mib >= 512 && var.job_defaults.vcpus > 0 && (
      length(setintersection(var.compute_kinds, ["fargate", "fargate_spot"])) == 0 ||
      contains(try(local.fargate_memory_mib[tostring(var.job_defaults.vcpus)], []), var.job_defaults.memory_mib)
    )
    error_message = "job_defaults: with Fargate, vcpus is 0.25, 0.5, 1, 2, 4, 8, 16 or 32, and memory_mib what it offers with them (2 vCPUs: 4096 to 16384 in steps of 1024)."
  }

  validation {
    condition     = var.job_defaults.timeout_hours == null ? true : var.job_defaults.timeout_hours * 60 >= 1
    error_message = "job_defaults: timeout_hours is at least a minute (0.017)."
  }
}

variable "fargate_scratch_gib" {
  description = "Scratch disk of each job on Fargate. The first 20 GiB cost nothing, the other 180 of 200 some 0.02 USD for each hour of a job; smaller plates need less."
  type        = number
  default     = 200
  nullable    = false

  validation {
    condition     = var.fargate_scratch_gib >= 21 && var.fargate_scratch_gib <= 200 && floor(var.fargate_scratch_gib) == var.fargate_scratch_gib
    error_message = "fargate_scratch_gib: 21 to 200, whole."
  }
}

variable "ec2" {
  description = "EC2 Spot hosts: instance types of 8 vCPUs (.2xlarge of x86 m and r families), so that one job of 8 vCPUs and 24 GiB fills one host, and the gp3 scratch volume of each host. A region must offer every type."
  type = object({
    instance_types = optional(list(string), ["m6i.2xlarge", "m6a.2xlarge", "m5.2xlarge", "m5a.2xlarge"])
    scratch_gib    = optional(number, 1000)
    scratch_iops   = optional(number, 3000)
    scratch_mib_s  = optional(number, 250)
  })
  default  = {}
  nullable = false

  validation {
    condition     = length(var.ec2.instance_types) > 0 && alltrue([for type in var.ec2.instance_types : strcontains(type, ".")])
    error_message = "ec2: instance_types names types (m6i.2xlarge), at least one, and no families (m6i): those have hosts for several jobs, which would share a scratch volume that each counts as its own."
  }

  # Nitro begins with the fifth generation, and the host's script expects Nitro's disks. A g behind the number is an ARM processor.
  validation {
    condition = alltrue([
      for type in var.ec2.instance_types : !strcontains(type, ".") || can(regex("^[mr][5-9][a-fh-z]*(-flex)?[.]2xlarge$", type))
    ])
    error_message = "ec2: instance_types are .2xlarge of x86 m and r families, from the fifth generation on (m6i.2xlarge, r5.2xlarge): on 8 vCPUs and 32 GiB or more, one job fills one host."
  }

  validation {
    condition = (
      var.ec2.scratch_gib >= 10 && var.ec2.scratch_gib <= 16384 && var.ec2.scratch_iops >= 3000 && var.ec2.scratch_iops <= 16000 &&
      var.ec2.scratch_mib_s >= 125 && var.ec2.scratch_mib_s <= 1000 && var.ec2.scratch_mib_s * 4 <= var.ec2.scratch_iops
    )
    error_message = "ec2: as gp3 has it, scratch_gib is 10 to 16384, scratch_iops 3000 to 16000, scratch_mib_s 125 to 1000 and at most a quarter of scratch_iops."
  }
}

# Network

variable "subnet_ids" {
  description = "Subnets of yours for the jobs, which must reach S3, ECR, CloudWatch Logs and ECS from there. Null makes a VPC."
  type        = list(string)
  default     = null

  validation {
    condition     = var.subnet_ids == null ? true : length(var.subnet_ids) > 0
    error_message = "subnet_ids: at least one, or null."
  }
}

variable "security_group_ids" {
  description = "Security groups of yours for the jobs, with subnet_ids and only with them."
  type        = list(string)
  default     = null

  validation {
    condition     = (var.subnet_ids == null) == (var.security_group_ids == null)
    error_message = "security_group_ids and subnet_ids: give both or neither."
  }

  validation {
    condition     = var.security_group_ids == null ? true : length(var.security_group_ids) > 0
    error_message = "security_group_ids: at least one, or null."
  }
}

variable "assign_public_ip" {
  description = "Whether jobs on Fargate get a public address in the subnets given: true if these have an internet gateway, false if they have a NAT or endpoints. In the VPC made here jobs always get one."
  type        = bool
  default     = false
  nullable    = false
}

variable "vpc_cidr" {
  description = "The addresses of the VPC made here, cut into four subnets of which three at most are used."
  type        = string
  default     = "10.64.0.0/20"
  nullable    = false

  validation {
    condition     = can(cidrnetmask(var.vpc_cidr)) && try(tonumber(split("/", var.vpc_cidr)[1]) >= 16 && tonumber(split("/", var.vpc_cidr)[1]) <= 24, false)
    error_message = "vpc_cidr: IPv4 addresses in CIDR notation, /16 to /24."
  }
}

variable "ecs_cluster" {
  description = "Whether there is an ECS cluster for a Prefect work pool, whose tasks run on Fargate with the roles of jobs. It costs nothing at rest."
  type        = bool
  default     = false
  nullable    = false
}
