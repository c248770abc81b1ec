"""What an app counts with: Counter, Gauge, Histogram, Summary, Info and Enum, as prometheus_client has them."""
