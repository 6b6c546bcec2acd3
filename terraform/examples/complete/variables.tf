variable "region" {
  description = "The AWS region to be in."
  type        = string
  default     = "us-east-1"
}

variable "name" {
  description = "What every name begins with."
  type        = string
  default     = "screening"
}

variable "image_tag" {
  description = "The version of the image to run; push it before a job runs."
  type        = string
  default     = "1.0.0"
}

variable "notification_email" {
  description = "The address for messages on failed jobs; null makes no subscription."
  type        = string
  default     = null
}

variable "force_destroy" {
  description = "Whether `terraform destroy` takes plates and profiles away too."
  type        = bool
  default     = false
}
