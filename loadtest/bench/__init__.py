"""The benchmark: tarant-kv against what one would write instead, in one run, in turn, on one machine.

`plan` says what is measured, `values` and `bodies` make the data, `systems` starts what is measured, `wrk` and `floor`
put load on it, `accounting` reads what it cost from /proc, `runner` does it all round by round, and `ratios`, `report`
and `plots` say what came out.
"""
