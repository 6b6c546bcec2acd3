# Name, buckets and prefixes, events and monitoring of a deployment. Compute and network are in variables_compute.tf.

variable "name" {
  description = "The prefix of every name. Two deployments in one account and region need two names."
  type        = string
  default     = "cytobatch"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,22}[a-z0-9]$", var.name)) && !strcontains(var.name, "--")
    error_message = "name: 2 to 24 lower-case letters, digits and single hyphens, a letter first and no hyphen last."
  }
}

variable "tags" {
  description = "Tags of every resource that takes tags, besides `cytobatch:deployment`."
  type        = map(string)
  default     = {}
  nullable    = false
}

# Buckets and prefixes

variable "source_bucket" {
  description = "A bucket of yours that plates are uploaded to; it is not changed, so it must send its events to EventBridge itself. Null makes one."
  type        = string
  default     = null

  validation {
    condition     = var.source_bucket == null || can(regex(local.bucket_pattern, var.source_bucket))
    error_message = "source_bucket: the name of an S3 bucket, without s3:// and without a prefix."
  }
}

variable "source_prefix" {
  description = "The prefix of plates in the source bucket. Jobs read nothing else of the bucket, and only objects below it start a job. Empty is the whole bucket."
  type        = string
  default     = "uploads"
  nullable    = false

  validation {
    condition     = can(regex(local.folder_pattern, var.source_prefix))
    error_message = "source_prefix: folders joined by slashes, none in front; letters, digits, spaces and ! _ . ' ( ) = + @ -."
  }
}

variable "results_bucket" {
  description = "A bucket of yours that profiles go to; it is not changed. It may be the source bucket. Null makes one."
  type        = string
  default     = null

  validation {
    condition     = var.results_bucket == null || can(regex(local.bucket_pattern, var.results_bucket))
    error_message = "results_bucket: the name of an S3 bucket, without s3:// and without a prefix."
  }
}

variable "destination_prefix" {
  description = "The prefix of profiles in the results bucket; each plate has a folder below it. Jobs write nowhere else."
  type        = string
  default     = "profiles"
  nullable    = false

  validation {
    condition     = can(regex(local.folder_pattern, var.destination_prefix))
    error_message = "destination_prefix: folders joined by slashes, none in front; letters, digits, spaces and ! _ . ' ( ) = + @ -."
  }

  validation {
    condition = !local.one_bucket || !(
      startswith(replace(var.destination_prefix, "/([^/])$/", "$1/"), local.source_folder) || startswith(local.source_folder, replace(var.destination_prefix, "/([^/])$/", "$1/"))
    )
    error_message = "A loop: source and results are one bucket, and destination_prefix and source_prefix lie in each other, so that what a job writes could start a job. Give them prefixes beside each other, or two buckets."
  }
}

variable "jobs_prefix" {
  description = "The prefix in the results bucket at which `cytobatch submit` writes resolved job specs. Objects below it expire."
  type        = string
  default     = "jobs"
  nullable    = false

  validation {
    condition     = var.jobs_prefix != "" && can(regex(local.folder_pattern, var.jobs_prefix))
    error_message = "jobs_prefix: one folder or more, joined by slashes, none in front; letters, digits, spaces and ! _ . ' ( ) = + @ -."
  }

  validation {
    condition = !local.one_bucket || !(
      startswith(replace(var.jobs_prefix, "/([^/])$/", "$1/"), local.source_folder) || startswith(local.source_folder, replace(var.jobs_prefix, "/([^/])$/", "$1/"))
    )
    error_message = "A loop: source and results are one bucket, and jobs_prefix and source_prefix lie in each other, so that a job's spec could start a job. Give them prefixes beside each other, or two buckets."
  }

  validation {
    condition = !(
      startswith(replace(var.jobs_prefix, "/([^/])$/", "$1/"), local.destination_folder) || startswith(local.destination_folder, replace(var.jobs_prefix, "/([^/])$/", "$1/"))
    )
    error_message = "jobs_prefix and destination_prefix must not lie in each other: what is below jobs_prefix expires, and profiles would with it."
  }
}

variable "read_only" {
  description = "Further places that jobs may read: platemaps, LoadData files, other sources. An empty prefix is the whole bucket."
  type = list(object({
    bucket = string
    prefix = optional(string, "")
  }))
  default  = []
  nullable = false

  validation {
    condition     = alltrue([for place in var.read_only : can(regex(local.bucket_pattern, place.bucket))])
    error_message = "read_only: bucket is the name of an S3 bucket, without s3:// and without a prefix."
  }

  validation {
    condition     = alltrue([for place in var.read_only : can(regex(local.folder_pattern, place.prefix))])
    error_message = "read_only: prefix is folders joined by slashes, none in front; letters, digits, spaces and ! _ . ' ( ) = + @ -."
  }
}

variable "kms_key_arn" {
  description = "A KMS key for the buckets, those made here and those given. Null is S3's own keys (SSE-S3)."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_arn == null || can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$", var.kms_key_arn))
    error_message = "kms_key_arn: the ARN of a key (…:key/…), not of an alias."
  }
}

variable "jobs_expiration_days" {
  description = "Days until a resolved job spec below jobs_prefix is deleted; `cytobatch status` needs it as long as its job exists."
  type        = number
  default     = 30
  nullable    = false

  validation {
    condition     = var.jobs_expiration_days >= 1 && floor(var.jobs_expiration_days) == var.jobs_expiration_days
    error_message = "jobs_expiration_days: a whole number of days, at least 1."
  }
}

variable "noncurrent_days" {
  description = "Days until an object that was replaced or deleted is removed for good, in the buckets made here."
  type        = number
  default     = 30
  nullable    = false

  validation {
    condition     = var.noncurrent_days >= 1 && floor(var.noncurrent_days) == var.noncurrent_days
    error_message = "noncurrent_days: a whole number of days, at least 1."
  }
}

variable "force_destroy" {
  description = "Whether `terraform destroy` deletes the buckets made here with their content. With false it stops at a bucket that is not empty."
  type        = bool
  default     = false
  nullable    = false
}

# Events

variable "events" {
  description = "Which new objects below source_prefix start a job: `sqlite` a file *.sqlite, `success` a marker _SUCCESS in a plate's folder, `spec` a job spec *.cytobatch.json."
  type = object({
    sqlite  = optional(bool, true)
    success = optional(bool, true)
    spec    = optional(bool, true)
  })
  default  = {}
  nullable = false
}

variable "events_compute" {
  description = "The kind of compute that jobs started by events run on: fargate, fargate_spot or ec2_spot."
  type        = string
  default     = "fargate_spot"
  nullable    = false

  validation {
    condition     = contains(["fargate", "fargate_spot", "ec2_spot"], var.events_compute)
    error_message = "events_compute: fargate, fargate_spot or ec2_spot."
  }

  validation {
    condition     = contains(var.compute_kinds, var.events_compute) || !anytrue([for on in values(var.events) : on])
    error_message = "events_compute names a kind that compute_kinds leaves out; name one of those, or switch all events off."
  }
}

variable "event_max_age_hours" {
  description = "Hours for which EventBridge tries to submit an event's job before the event goes to the dead-letter queue."
  type        = number
  default     = 6
  nullable    = false

  validation {
    condition     = var.event_max_age_hours >= 1 && var.event_max_age_hours <= 24 && floor(var.event_max_age_hours) == var.event_max_age_hours
    error_message = "event_max_age_hours: 1 to 24, whole."
  }
}

# Monitoring

variable "log_retention_days" {
  description = "Days for which the jobs' logs are kept, one of CloudWatch's steps."
  type        = number
  default     = 30
  nullable    = false

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_retention_days)
    error_message = "log_retention_days: one of 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653."
  }
}

variable "log_format" {
  description = "How jobs write their logs: text, or json for queries in Logs Insights. An image from before this input knows text alone."
  type        = string
  default     = "text"
  nullable    = false

  validation {
    condition     = contains(["text", "json"], var.log_format)
    error_message = "log_format: text or json."
  }
}

variable "notification_email" {
  description = "The address that gets messages on failed jobs and on events that could not be delivered. AWS asks the address to confirm. Null makes no subscription."
  type        = string
  default     = null

  validation {
    condition     = var.notification_email == null || can(regex("^[^@[:space:]]+@[^@[:space:]]+[.][^@[:space:]]+$", var.notification_email))
    error_message = "notification_email: one address, as someone@example.org."
  }
}

variable "alarms" {
  description = "Whether there are alarms on failed jobs and on the dead-letter queue: two of the ten that an account has free."
  type        = bool
  default     = true
  nullable    = false
}

variable "dashboard" {
  description = "Whether there is a CloudWatch dashboard: one of the three that an account has free."
  type        = bool
  default     = true
  nullable    = false
}
