-- Says that a worker is there, and returns the names of all that are. By Redis' clock, as theirs may differ; what a clock
-- that was set back left behind in the future is not there either.
--
-- KEYS[1] sorted set of the workers by when they last said so, ms; ARGV[1] this worker; ARGV[2] how long a worker counts
-- as there after that, ms; ARGV[3] seconds after which the set is gone if nobody says so any more.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[2])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '(' .. now, '+inf')
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[3])
return redis.call('ZRANGE', KEYS[1], 0, -1)
