--- The shard's settings: default, bounds and choices of each. Whoever reads them is `tarantkv.settings`.
-- Made by `python -m protocol.settings.lua`: change `protocol/settings/` and make it again.
-- @module tarantkv.setting_defaults

return {
    TARANTKV_BUCKET_COUNT = {default = 30000, lowest = 1, highest = 1000000},
    TARANTKV_CLOCK_SKEW_S = {default = 30, lowest = 0, highest = 3600},
    TARANTKV_COUNT_APPLICATIONS = {default = false},
    TARANTKV_LOG_LEVEL = {default = 'info', choices = {'debug', 'info', 'warning', 'error'}},
    TARANTKV_MAX_CLAIMS_PER_USER = {default = 1000000, lowest = 1, highest = 100000000},
    TARANTKV_SHARD = {},
    TARANTKV_SHARDS = {},
    TARANTKV_SHARD_CONSOLE = {default = ''},
    TARANTKV_SHARD_DIR = {default = '.'},
    TARANTKV_SHARD_LISTEN = {default = '127.0.0.1:3301'},
    TARANTKV_SHARD_MEMORY_MIB = {default = 512, lowest = 64, highest = 1048576},
    TARANTKV_STORE_PASSWORD = {},
    TARANTKV_STORE_USER = {default = 'tarantkv'},
    TARANTKV_WAL_MODE = {default = 'write', choices = {'write', 'fsync'}},
}
