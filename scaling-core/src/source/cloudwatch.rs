//! Amazon CloudWatch: metrics by `GetMetricData`.
