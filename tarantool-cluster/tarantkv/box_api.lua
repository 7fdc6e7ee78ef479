--- The functions of Tarantool's C API that the stored procedures call through LuaJIT's FFI, under names of their own.
-- They exist in 2.6 and in 3.x. There is no `mp_*` function here: 2.6 exports them, 3.x does not.
-- The C API does not check its arguments: a tuple or key that is not well-formed MessagePack crashes the instance. So
-- `tarantkv.body` must have checked all bytes that are passed to it. `insert`, `replace` and `delete` may only be
-- called inside a transaction: outside they would yield during an FFI call. The spaces that they change must have no
-- Lua triggers.
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
    typedef struct tarantkv_iterator tarantkv_iterator;
    tarantkv_iterator *tarantkv_iterator_new(uint32_t space_id, uint32_t index_id, int type, const uint8_t *key,
                                             const uint8_t *key_end) __asm__("box_index_iterator");
    int tarantkv_iterator_next(tarantkv_iterator *iterator, tarantkv_tuple **result) __asm__("box_iterator_next");
    void tarantkv_iterator_free(tarantkv_iterator *iterator) __asm__("box_iterator_free");
    size_t tarantkv_tuple_bsize(tarantkv_tuple *tuple) __asm__("box_tuple_bsize");
    const uint8_t *tarantkv_tuple_field(tarantkv_tuple *tuple, uint32_t field) __asm__("box_tuple_field");
    int tarantkv_memcmp(const uint8_t *one, const uint8_t *other, size_t size) __asm__("memcmp");
]])

local C = ffi.C

--- A place for one returned tuple. All fibers share it, because it is read before anything can yield.
-- The pointer in it is only valid until the next call of this API.
local result = ffi.new('tarantkv_tuple *[1]')

local LESS_OR_EQUAL = 4

--- Put into `result` the last tuple of a tree index whose key is not greater than this one, or nil.
-- @treturn boolean false if the database reported an error (`box.error.last()`)
local function last_up_to(space_id, index_id, key, key_end)
    local iterator = C.tarantkv_iterator_new(space_id, index_id, LESS_OR_EQUAL, key, key_end)
    if iterator == nil then
        return false
    end
    local status = C.tarantkv_iterator_next(iterator, result)
    C.tarantkv_iterator_free(iterator)
    return status == 0
end

return {
    replace = C.tarantkv_replace,
    insert = C.tarantkv_insert,
    delete = C.tarantkv_delete,
    get = C.tarantkv_get,
    tuple_bsize = C.tarantkv_tuple_bsize,
    tuple_field = C.tarantkv_tuple_field,
    last_up_to = last_up_to,
    iterator_new = C.tarantkv_iterator_new,
    iterator_next = C.tarantkv_iterator_next,
    iterator_free = C.tarantkv_iterator_free,
    memcmp = C.tarantkv_memcmp,
    result = result,
}
