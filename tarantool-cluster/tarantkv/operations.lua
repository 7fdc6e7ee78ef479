--- The operation numbers of the wire format. A module of the same name, or of the group, implements each.
-- @module tarantkv.operations

return {
    WRITE = 1,
    READ = 2,
    DELETE = 3,
    READ_TUPLES = 4,
    UPDATE = 5,
    DELETE_IF = 6,
    INCREMENT = 7,
    TOUCH = 8,
    SCAN = 9,
    KEYED = 10,
    CLAIM = 16,
    FINISH = 17,
    USER_GET = 18,
    USER_PUT = 19,
    REVOKE = 20,
    USER_LIST = 21,
    DESCRIBE = 22,
    STATUS = 23,
    JOIN = 24,
}
