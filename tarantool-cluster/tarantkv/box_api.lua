--- The few functions of Tarantool's C API that the storage procedures call through LuaJIT's FFI, under names of our
-- own. They exist in 2.6 and in 3.x alike. No `mp_*` function is here: 2.6 exports them, 3.x does not.
-- The C API trusts its caller: a tuple or key that is not well-formed MessagePack crashes the instance, so everything
-- handed to it has been checked by `tarantkv.body` before. `insert`, `replace` and `delete` may only be
-- called inside a transaction (outside they would yield in the middle of an FFI call), and the spaces they touch carry
-- no Lua triggers.
-- @module tarantkv.box_api

local ffi = require('ffi')

ffi.cdef([[
    typedef struct tarantkv_tuple tarantkv_tuple;
    int tarantkv_replace(uint32_t space_id, const uint8_t *tuple, const uint8_t *tuple_end,
                         tarantkv_tuple **result) __asm__("box_replace");
    int tarantkv_insert(uint32_t space_id, const uint8_t *tuple, const uint8_t *tuple_end,
                        tarantkv_tuple **result) __asm__("box_insert");
    int tarantkv_delete(uint32_t space_id, uint32_t index_id, const uint8_t *key, const uint8_t *key_end,
                        tarantkv_tuple **result) __asm__("box_delete");
    int tarantkv_get(uint32_t space_id, uint32_t index_id, const uint8_t *key, const uint8_t *key_end,
                     tarantkv_tuple **result) __asm__("box_index_get");
    size_t tarantkv_tuple_bsize(tarantkv_tuple *tuple) __asm__("box_tuple_bsize");
    const uint8_t *tarantkv_tuple_field(tarantkv_tuple *tuple, uint32_t field) __asm__("box_tuple_field");
]])

local C = ffi.C

return {
    replace = C.tarantkv_replace,
    insert = C.tarantkv_insert,
    delete = C.tarantkv_delete,
    get = C.tarantkv_get,
    tuple_bsize = C.tarantkv_tuple_bsize,
    tuple_field = C.tarantkv_tuple_field,
    --- A place for one returned tuple, read before anything can yield and therefore shared by all fibers.
    -- The pointer in it is only good until the next call of this API.
    result = ffi.new('tarantkv_tuple *[1]'),
}
