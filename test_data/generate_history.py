#!/usr/bin/env python3
"""Makes shop_history.csv.gz: two weeks of one workload, minute by minute.

A shop in Central Europe as a load balancer and metrics-server would have seen it, on an HPA at 65 % CPU within 4..10 pods:

- weekdays with a peak at lunch and a higher one in the evening, weekends that start late and are flatter, quiet nights;
- load that wanders within the hour besides the scatter of independent requests, and is a little higher in the second week;
- a flash sale on the second Thursday at 20:00 local time: three times the load within three minutes, half an hour long;
- an hour without metrics on the second Wednesday (the monitoring was down), and single samples that were lost;
- memory with a base that every pod has, a part that load brings, and a slow leak until the nightly restart;
- a release on the second Tuesday that needs 35 % more CPU for each request, rolled back after seven hours.

Deterministic: the same file from any Python 3. Run from this folder: python3 generate_history.py
"""
import gzip
import io
import math
import random

SEED = 20260105
START = 1767567600  # Monday 2026-01-05 00:00 in Berlin, 2026-01-04 23:00 UTC
STEP = 60
DAYS = 14
CAPACITY = 60.0  # requests per second of one pod at full CPU
REQUEST_S = 0.045  # time of a request on an idle pod
TARGET, LOWEST, HIGHEST = 0.65, 4, 10

DAY_S = 86_400
SALE = 10 * DAY_S + 20 * 3600
GAP = (9 * DAY_S + 10 * 3600 + 20 * 60, 9 * DAY_S + 11 * 3600 + 20 * 60)
RELEASE = (8 * DAY_S + 9 * 3600 + 30 * 60, 8 * DAY_S + 16 * 3600 + 30 * 60)


def bump(hour, middle, width):
    return math.exp(-(((hour - middle) / width) ** 2))


def usual(second):
    """Requests per second that the calendar leads one to expect."""
    day, hour = divmod(second / 3600, 24)
    weekday = int(day) % 7
    if weekday < 5:
        rate = 45 + 150 * bump(hour, 9.5, 2.2) + 210 * bump(hour, 12.6, 1.1) + 110 * bump(hour, 15.5, 2.5) + 300 * bump(hour, 20.2, 1.9)
        rate *= (1.0, 0.97, 0.98, 1.02, 0.9)[weekday]
    else:
        rate = 50 + 190 * bump(hour, 13.5, 3.6) + 200 * bump(hour, 19.5, 2.6)
        rate *= (0.9, 1.05)[weekday - 5]
    return rate * (1.0 if day < 7 else 1.06)


def sale(second):
    """Factor of the flash sale: up within three minutes, half an hour long, then away over twenty minutes."""
    since = second - SALE
    if since < 0:
        return 1.0
    if since < 180:
        return 1.0 + 2.0 * since / 180
    if since < 1800:
        return 3.0 - 0.6 * (since - 180) / 1620
    return 1.0 + 1.4 * math.exp(-(since - 1800) / 500)


def rows(random):
    pods, starting, asked = 4, [], []
    wander, backlog, leak = 0.0, 0.0, 0.0
    for index in range(DAYS * DAY_S // STEP):
        second = index * STEP
        # Load wanders within about half an hour by some percent, besides the scatter of requests that know nothing of each other.
        wander = 0.965 * wander + random.gauss(0, 0.016)
        expected = usual(second) * sale(second) * math.exp(wander)
        rate = max(0.0, random.gauss(expected, math.sqrt(expected / STEP)))
        # Pods that were asked for a minute ago serve now.
        pods = max(pods, starting.pop(0)) if starting else pods
        slower = 1.35 if RELEASE[0] <= second < RELEASE[1] else 1.0
        capacity = pods * CAPACITY / slower
        served = min(capacity, rate + backlog / STEP)
        backlog = min(max(0.0, backlog + (rate - served) * STEP), capacity * 10)
        used = served / capacity
        lost = max(0.0, rate - served - backlog / STEP) if backlog >= capacity * 10 else 0.0
        wait = backlog / capacity
        latency = 1000 * (REQUEST_S * slower / (1 - 0.8 * min(used, 0.98)) + wait) * math.exp(random.gauss(0, 0.04))
        errors = 100 * lost / rate if rate > 0 else 0.0
        errors += 0.08 + abs(random.gauss(0, 0.04))
        leak = 0.0 if second % DAY_S == 4 * 3600 else leak + 6.0 / 1440
        memory = 38 + 17 * used + leak + random.gauss(0, 0.4)
        if not GAP[0] <= second < GAP[1] and random.random() > 0.0005:
            yield second, rate, 100 * used, memory, latency, min(errors, 100), rate * 2.4, backlog, pods
        # The HPA: the ratio of use to target, with its tolerance; it shrinks to the most of the last five minutes.
        ratio = used / TARGET
        want = pods if abs(ratio - 1) <= 0.1 else math.ceil(pods * ratio)
        want = max(LOWEST, min(HIGHEST, want, 2 * pods))
        asked = (asked + [want])[-5:]
        if want > pods:
            starting = [want]
        elif max(asked) < pods:
            pods = max(asked)


def main():
    text = io.StringIO()
    text.write("timestamp,request_rate_per_second,cpu_utilization_percent,memory_utilization_percent,response_time_ms,"
               "error_rate_percent,active_connections,queue_depth,current_pod_count\n")
    for second, rate, cpu, memory, latency, errors, connections, backlog, pods in rows(random.Random(SEED)):
        # A mean over a minute is known at its end.
        text.write(f"{START + second + STEP},{rate:.1f},{cpu:.1f},{memory:.1f},{latency:.0f},{errors:.2f},{connections:.0f},{backlog:.0f},{pods}\n")
    with open("shop_history.csv.gz", "wb") as file, gzip.GzipFile("", "wb", 9, file, mtime=0) as packed:
        packed.write(text.getvalue().encode())


main()
