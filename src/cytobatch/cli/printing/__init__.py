"""What commands print: plans, reports, submissions, statuses."""
