"""The benchmark: tarant-kv and the systems that users would write instead, measured in turn, in one run on one machine.

`plan` lists the measurements, `values` and `bodies` make the data, `systems` starts the systems, `wrk` and `floor` put
load on them, `accounting` reads the CPU time and memory from /proc, `runner` does all of it round by round, and
`ratios`, `report` and `plots` present the results.
"""
