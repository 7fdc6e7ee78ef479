-- Announces that a worker is present, and returns the names of all present ones. Times are by Redis' clock, because the
-- workers' clocks may differ. Entries in the future were left by a clock that has been set back since: they are removed.
--
-- KEYS[1] sorted set of the workers by their last announcement, ms; ARGV[1] this worker; ARGV[2] for how long after an
-- announcement a worker counts as present, ms; ARGV[3] seconds after which the set expires if nobody announces itself.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[2])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '(' .. now, '+inf')
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[3])
return redis.call('ZRANGE', KEYS[1], 0, -1)
