--- Tarantool 3 loads this module for the role `tarantkv` of its configuration.

return require('tarantkv.role')
