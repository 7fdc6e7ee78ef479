--- The settings of an instance of a replica set. Reads `roles_cfg.tarantkv` of the configuration and checks it like the
-- variables of a shard on one machine. A fault raises an error whose text names the setting.
-- @module tarantkv.role_settings

local settings = require('tarantkv.settings')

local M = {}

--- Settings that are also variables in `settings`. Here they have the variable's name in small letters, without prefix.
local SHARED = {
    bucket_count = true, store_user = true, store_password = true, clock_skew_s = true, max_claims_per_user = true,
    count_applications = true,
}

--- Greatest position that a version has room for.
M.MOST_POSITIONS = 1023

local function is_whole(value, lowest, highest)
    return type(value) == 'number' and value == math.floor(value) and value >= lowest and value <= highest
end

--- The range of buckets that the shard creates at its first start.
local function first_buckets(value, bucket_count)
    if value == nil then
        return nil
    end
    if type(value) ~= 'table' or #value ~= 2 or not is_whole(value[1], 1, bucket_count)
            or not is_whole(value[2], value[1], bucket_count) then
        error('roles_cfg.tarantkv.first_buckets: expected two buckets [first, last] of bucket_count', 0)
    end
    return {value[1], value[2]}
end

--- Read and check.
-- @param configured the value of `roles_cfg.tarantkv`
-- @treturn table `bucket_count`, `store_user`, `store_password`, `clock_skew_s`, `max_claims_per_user`,
-- `count_applications`, `position`, and `first_buckets`, `{first, last}` or nil
-- @raise a text
function M.read(configured)
    if type(configured) ~= 'table' then
        error('roles_cfg.tarantkv: expected a map', 0)
    end
    local environment = {}
    for name, value in pairs(configured) do
        if SHARED[name] then
            environment['TARANTKV_' .. name:upper()] = tostring(value)
        elseif name ~= 'position' and name ~= 'first_buckets' then
            error(('roles_cfg.tarantkv.%s: there is no such setting'):format(tostring(name)), 0)
        end
    end
    local read, found = pcall(settings.shared, environment)
    if not read then
        if type(found) ~= 'table' then
            error(found, 0)
        end
        error(('roles_cfg.tarantkv.%s %s'):format(found.setting:gsub('^TARANTKV_', ''):lower(), found.problem), 0)
    end
    if not is_whole(configured.position, 1, M.MOST_POSITIONS) then
        error(('roles_cfg.tarantkv.position: expected a number from 1 to %d'):format(M.MOST_POSITIONS), 0)
    end
    found.position = configured.position
    found.first_buckets = first_buckets(configured.first_buckets, found.bucket_count)
    return found
end

return M
