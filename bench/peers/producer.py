"""Who enqueues for a peer: `producer.py <module of the peer>`. A question in JSON on each line of stdin, an answer on
stdout.

`{"script": ..., "payloads": [...], "held": true}` enqueues, and answers with the ids and the time before the first, by
the monotonic clock. `{"completed": [ids]}` answers with those whose result says that the command ended with 0.
"""

from __future__ import annotations

import importlib
import json
import sys
import time

peer = importlib.import_module(sys.argv[1])
print(json.dumps({"ready": True}), flush=True)
for line in sys.stdin:
    asked = json.loads(line)
    if "completed" in asked:
        answer = {"completed": [task_id for task_id in asked["completed"] if peer.completed(task_id)]}
    else:
        begun = time.perf_counter()
        ids = [peer.enqueue(asked["script"], payload, asked["held"]) for payload in asked["payloads"]]
        answer = {"begun": begun, "ids": ids}
    print(json.dumps(answer), flush=True)
