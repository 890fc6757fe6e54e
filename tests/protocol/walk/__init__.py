"""A random walk over the queue's protocol: many actors, Redis on a virtual clock, a network that loses.

world.py       time, Redis, the network, crashes and pauses
ledger.py      what was promised, sent and recorded; what must never happen
ingress.py     accepts messages, takes back what is in doubt
courier.py     joins, beats, claims, delivers, settles, expands; its own comparison of claims
dispatcher.py  leases, watches, buries, reaps, looks for due work
operator.py    orders at random, and the accidents
janitor.py     looks at any key, again and again
run.py         one walk, from its seed
cluster.py     a walk over a Redis Cluster: slots that move, failovers
reports.py     a walk of its own: reports about TLS
"""
