--- The wall clock in the unit of the wire format: whole milliseconds since the epoch. Keeps no state.
-- @module tarantkv.clock

local clock = require('clock')
local floor = math.floor

local M = {}

--- Now, in whole milliseconds.
-- It reads the system clock, not the fiber's cached one: a long call must notice a deadline that passes while it runs.
-- It rounds down, because Tarantool 3 refuses a fraction as the key of an unsigned index.
-- @treturn number
function M.now_ms()
    return floor(clock.realtime() * 1000)
end

return M
