--- What Tarantool 3 loads for the role `tarantkv` of its configuration.

return require('tarantkv.role')
