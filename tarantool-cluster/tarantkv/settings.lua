--- The settings of a shard: the TARANTKV_* variables that it reads, their defaults and their checks.
-- Nothing is applied here; a fault is a message for one line on stderr.
-- @module tarantkv.settings

local M = {}

local LOG_LEVELS = {
    critical = 3, error = 2, warning = 4, warn = 4, info = 5, verbose = 6, debug = 7,
}
local WAL_MODES = {write = true, fsync = true}
local MAX_BUCKETS = 1000000

--- Names that the database gives to users and roles of its own.
local RESERVED_USERS = {guest = true, admin = true, public = true, replication = true, super = true}

local function fail(name, problem)
    error({setting = name, problem = problem}, 0)
end

local function text(environment, name, default)
    local value = environment[name]
    if value == nil or value == '' then
        value = default
    end
    if value == nil then
        fail(name, 'is not set')
    end
    return value
end

local function whole(environment, name, default, lowest, highest)
    local given = text(environment, name, tostring(default))
    local value = given:match('^%d+$') and tonumber(given)
    if not value or value < lowest or value > highest then
        fail(name, ('is %q, expected a whole number from %d to %d'):format(given, lowest, highest))
    end
    return value
end

local function one_of(environment, name, default, choices)
    local given = text(environment, name, default)
    local value = choices[given:lower()]
    if value == nil then
        local names = {}
        for choice in pairs(choices) do
            table.insert(names, choice)
        end
        table.sort(names)
        fail(name, ('is %q, expected one of %s'):format(given, table.concat(names, ', ')))
    end
    return value
end

local function is_address(value)
    local host, port = value:match('^(.+):(%d+)$')
    return host ~= nil and not host:find('%s') and tonumber(port) >= 1 and tonumber(port) <= 65535
end

local function address(environment, name, default)
    local value = text(environment, name, default)
    if not is_address(value) then
        fail(name, ('is %q, expected host:port'):format(value))
    end
    return value
end

--- The names of the shard list, in its order: `s1=host:port[,host:port...];s2=...`.
local function shard_names(environment)
    local name = 'TARANTKV_SHARDS'
    local names, seen = {}, {}
    for part in text(environment, name):gmatch('[^;]+') do
        local shard, addresses = part:match('^%s*([%w_.-]+)%s*=%s*(.-)%s*$')
        if shard == nil then
            fail(name, ('has %q where name=host:port is expected'):format(part))
        elseif seen[shard] then
            fail(name, ('names shard %q twice'):format(shard))
        end
        for instance in (addresses .. ','):gmatch('(.-),') do
            if not is_address(instance) then
                fail(name, ('gives shard %q the address %q, expected host:port'):format(shard, instance))
            end
        end
        seen[shard] = true
        table.insert(names, shard)
    end
    if #names == 0 then
        fail(name, 'names no shard')
    end
    return names
end

local function position_of(shard, names)
    for position, name in ipairs(names) do
        if name == shard then
            return position
        end
    end
    fail('TARANTKV_SHARD', ('is %q, which TARANTKV_SHARDS does not name'):format(shard))
end

--- Read and check the settings.
-- @tparam table environment as `os.environ()` gives it
-- @treturn table the settings
-- @raise a table `{setting = name of the variable, problem = what is wrong with it}`
function M.read(environment)
    local names = shard_names(environment)
    local shard = text(environment, 'TARANTKV_SHARD')
    local position = position_of(shard, names)
    local bucket_count = whole(environment, 'TARANTKV_BUCKET_COUNT', 30000, 1, MAX_BUCKETS)
    if #names > bucket_count then
        fail('TARANTKV_BUCKET_COUNT', ('is %d, fewer than the %d shards'):format(bucket_count, #names))
    end
    local store_user = text(environment, 'TARANTKV_STORE_USER', 'tarantkv')
    if not store_user:match('^[%a_][%w_.-]*$') or RESERVED_USERS[store_user] then
        fail('TARANTKV_STORE_USER', ('is %q, expected the name of a user of its own'):format(store_user))
    end
    local wal_mode = text(environment, 'TARANTKV_WAL_MODE', 'write')
    if not WAL_MODES[wal_mode] then
        fail('TARANTKV_WAL_MODE', ('is %q, expected write or fsync'):format(wal_mode))
    end
    return {
        shard = shard,
        position = position,
        shards = #names,
        bucket_count = bucket_count,
        listen = address(environment, 'TARANTKV_SHARD_LISTEN', '127.0.0.1:3301'),
        directory = text(environment, 'TARANTKV_SHARD_DIR', '.'),
        -- memtx takes no less than 64 MiB.
        memory_mib = whole(environment, 'TARANTKV_SHARD_MEMORY_MIB', 512, 64, 1048576),
        wal_mode = wal_mode,
        store_user = store_user,
        store_password = text(environment, 'TARANTKV_STORE_PASSWORD'),
        clock_skew_s = whole(environment, 'TARANTKV_CLOCK_SKEW_S', 30, 0, 3600),
        max_claims_per_user = whole(environment, 'TARANTKV_MAX_CLAIMS_PER_USER', 1000000, 1, 4294967295),
        count_applications = one_of(environment, 'TARANTKV_COUNT_APPLICATIONS', 'false', {
            ['true'] = 1, ['false'] = 0,
        }) == 1,
        console = text(environment, 'TARANTKV_SHARD_CONSOLE', ''),
        log_level = one_of(environment, 'TARANTKV_LOG_LEVEL', 'info', LOG_LEVELS),
    }
end

return M
