--- Reads and checks the settings of a shard, the TARANTKV_* variables. Defaults, bounds and choices are in
-- `setting_defaults`, which is generated from Python's settings. A fault raises a message of one line.
-- @module tarantkv.settings

local defaults = require('tarantkv.setting_defaults')

local M = {}

--- Tarantool's levels, by the settings' names.
local LOG_LEVELS = {error = 2, warning = 4, info = 5, debug = 7}

local TRUTH = {['true'] = true, ['false'] = false, ['1'] = true, ['0'] = false}

--- Names of Tarantool's own users and roles.
local RESERVED_USERS = {guest = true, admin = true, public = true, replication = true, super = true}

local MAX_SHARD_NAME = 32

local function fail(name, problem)
    error({setting = name, problem = problem}, 0)
end

--- A setting as text, without spaces around it, as Python reads it. An empty setting has its default.
local function text(environment, name)
    local value = environment[name]
    value = value and value:match('^%s*(.-)%s*$')
    if value == nil or value == '' then
        value = defaults[name].default
    end
    if value == nil then
        fail(name, 'is not set')
    end
    return tostring(value)
end

local function whole(environment, name)
    local given, bounds = text(environment, name), defaults[name]
    local value = given:match('^%d+$') and tonumber(given)
    if not value or value < bounds.lowest or value > bounds.highest then
        fail(name, ('is %q, expected a whole number from %d to %d'):format(given, bounds.lowest, bounds.highest))
    end
    return value
end

local function one_of(environment, name)
    local given, choices = text(environment, name), defaults[name].choices
    for _, choice in ipairs(choices) do
        if given == choice then
            return given
        end
    end
    fail(name, ('is %q, expected one of %s'):format(given, table.concat(choices, ', ')))
end

local function truth(environment, name)
    local given = text(environment, name)
    local value = TRUTH[given:lower()]
    if value == nil then
        fail(name, ('is %q, expected true or false'):format(given))
    end
    return value
end

local function is_address(value)
    local host, port = value:match('^(.+):(%d+)$')
    return host ~= nil and not host:find('%s') and tonumber(port) >= 1 and tonumber(port) <= 65535
end

local function address(environment, name)
    local value = text(environment, name)
    if not is_address(value) then
        fail(name, ('is %q, expected host:port'):format(value))
    end
    return value
end

--- The names of the shard list, in its order: `s1=host:port[,host:port...];s2=...`, and how many instances each has.
local function shard_names(environment)
    local name = 'TARANTKV_SHARDS'
    local names, seen = {}, {}
    for part in text(environment, name):gmatch('[^;]+') do
        local shard, addresses = part:match('^%s*([a-z][a-z0-9-]*)=%s*(.-)%s*$')
        if shard == nil or #shard > MAX_SHARD_NAME then
            fail(name, ('has %q where name=host:port is expected'):format(part))
        elseif seen[shard] then
            fail(name, ('names shard %q twice'):format(shard))
        end
        local instances = 0
        for instance in (addresses .. ','):gmatch('(.-),') do
            if not is_address(instance) then
                fail(name, ('gives shard %q the address %q, expected host:port'):format(shard, instance))
            end
            instances = instances + 1
        end
        seen[shard] = instances
        table.insert(names, shard)
    end
    if #names == 0 then
        fail(name, 'names no shard')
    end
    return names, seen
end

local function position_of(shard, names)
    for position, name in ipairs(names) do
        if name == shard then
            return position
        end
    end
    fail('TARANTKV_SHARD', ('is %q, which is not in TARANTKV_SHARDS'):format(shard))
end

local function checked_store_user(environment)
    local store_user = text(environment, 'TARANTKV_STORE_USER')
    if not store_user:match('^[%a_][%w_.-]*$') or RESERVED_USERS[store_user] then
        fail('TARANTKV_STORE_USER', ('is %q, expected a name that is valid and not reserved'):format(store_user))
    end
    return store_user
end

--- Read and check the settings that exist both on one machine and in a replica set.
-- @tparam table environment as `os.environ()` gives it
-- @treturn table the settings
-- @raise as `read` does
function M.shared(environment)
    return {
        bucket_count = whole(environment, 'TARANTKV_BUCKET_COUNT'),
        store_user = checked_store_user(environment),
        store_password = text(environment, 'TARANTKV_STORE_PASSWORD'),
        clock_skew_s = whole(environment, 'TARANTKV_CLOCK_SKEW_S'),
        max_claims_per_user = whole(environment, 'TARANTKV_MAX_CLAIMS_PER_USER'),
        count_applications = truth(environment, 'TARANTKV_COUNT_APPLICATIONS'),
    }
end

--- Read and check the settings.
-- @tparam table environment as `os.environ()` gives it
-- @treturn table the settings
-- @raise a table `{setting = name of the variable, problem = what is wrong with it}`
function M.read(environment)
    local names, instances = shard_names(environment)
    local shard = text(environment, 'TARANTKV_SHARD')
    local settings = M.shared(environment)
    settings.shard = shard
    settings.position = position_of(shard, names)
    settings.shards = #names
    settings.instances = instances[shard]
    if #names > settings.bucket_count then
        fail('TARANTKV_BUCKET_COUNT', ('is %d, fewer than the %d shards'):format(settings.bucket_count, #names))
    end
    settings.listen = address(environment, 'TARANTKV_SHARD_LISTEN')
    settings.directory = text(environment, 'TARANTKV_SHARD_DIR')
    settings.memory_mib = whole(environment, 'TARANTKV_SHARD_MEMORY_MIB')
    settings.wal_mode = one_of(environment, 'TARANTKV_WAL_MODE')
    settings.console = text(environment, 'TARANTKV_SHARD_CONSOLE')
    settings.log_level = LOG_LEVELS[one_of(environment, 'TARANTKV_LOG_LEVEL')]
    return settings
end

return M
