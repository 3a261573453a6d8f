#!/usr/bin/env python3
"""Makes shop_history.csv: five days of one workload at two minutes, with daily peaks, a spike and a gap.

Deterministic; run from this folder: python3 generate_history.py > shop_history.csv
"""
import math
import random

random.seed(20260105)
START = 1767571200  # Monday 2026-01-05 00:00 UTC
STEP = 120
CAPACITY = 60.0  # requests per second of one pod at 100 %

print("timestamp,request_rate_per_second,cpu_utilization_percent,memory_utilization_percent,response_time_ms,"
      "error_rate_percent,active_connections,queue_depth,current_pod_count")
pods, calm = 4, 0
for i in range(5 * 24 * 3600 // STEP):
    t = START + i * STEP
    hour = (t % 86400) / 3600
    day = i * STEP / 86400
    # A low night, a morning and a higher evening peak, a little more each day.
    rate = 70 + 330 * math.exp(-((hour - 9.5) / 2.2) ** 2) + 420 * math.exp(-((hour - 19.5) / 2.4) ** 2)
    rate *= 1 + 0.03 * day
    if 2.55 < day < 2.56:  # day three, about 13:15: a quarter of an hour of four times the load
        rate *= 4.0
    rate *= 1 + random.gauss(0, 0.03)
    if 3.30 < day < 3.37:  # day four, about 07:15 to 08:50: the metrics were lost
        continue
    # The pods that were there: scaled by hand, slowly.
    wanted = max(4, math.ceil(rate / (CAPACITY * 0.6)))
    if wanted > pods:
        pods, calm = min(wanted, pods + 1), 0
    elif wanted < pods:
        calm += 1
        if calm > 45:
            pods, calm = pods - 1, 30
    use = rate / (pods * CAPACITY)
    busy = min(use, 0.99)
    latency = 38 / (1 - 0.85 * busy) * (1 + random.gauss(0, 0.03))
    errors = 0.2 + max(0.0, use - 0.9) * 45 + abs(random.gauss(0, 0.05))
    queue = max(0.0, 2 * busy / (1 - busy) * 0.3 + max(0.0, use - 1) * rate * 3)
    memory = 48 + 14 * busy + random.gauss(0, 0.6)
    stamp = f"2026-01-{5 + int(day):02d}T{int(hour):02d}:{int(hour * 60 % 60 + 1e-6):02d}:00Z"
    print(f"{stamp},{rate:.1f},{100 * min(use, 1.0):.1f},{memory:.1f},{latency:.0f},{min(errors, 60):.2f},"
          f"{rate * 3.6:.0f},{queue:.1f},{pods}")
