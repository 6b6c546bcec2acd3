output "deployment" {
  description = "For `cytobatch submit --deployment`: terraform output -json > deployment.json"
  value       = module.cytobatch.deployment
}

output "repository_url" {
  description = "Where the image is pushed to."
  value       = module.cytobatch.repository_url
}

output "submitter_policy_arn" {
  description = "To attach to whoever submits jobs."
  value       = module.cytobatch.submitter_policy_arn
}

output "dead_letter_queue_url" {
  description = "Where events are that could not be made into a job."
  value       = module.cytobatch.dead_letter_queue_url
}

output "notification_topic_arn" {
  description = "The SNS topic with messages on failed jobs and undelivered events."
  value       = module.cytobatch.notification_topic_arn
}

output "prefect_pool" {
  description = "For `cytobatch pool --deployment`, in the same file."
  value       = module.cytobatch.prefect_pool
}
