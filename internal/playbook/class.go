package playbook

import (
	"slices"
	"strings"
)

// Writes says whether turns of a class may change what the service holds.
func (c Class) Writes() bool {
	if reads, known := readers[c.Protocol]; known {
		return !c.in(reads)
	}
	return true
}

// readers are the verbs that change nothing, by protocol; of other protocols, any may.
var readers = map[string][]string{
	"http1": {"GET", "HEAD", "OPTIONS", "TRACE"},
	"redis": {
		"AUTH", "BITCOUNT", "BITPOS", "CLIENT", "COMMAND", "CONFIG GET", "DBSIZE", "DUMP", "ECHO", "EXISTS", "GEOPOS", "GEOSEARCH", "GET",
		"GETBIT", "GETRANGE", "HELLO", "HEXISTS", "HGET", "HGETALL", "HKEYS", "HLEN", "HMGET", "HSCAN", "HVALS", "INFO", "KEYS",
		"LINDEX", "LLEN", "LPOS", "LRANGE", "MGET", "OBJECT", "PING", "PTTL", "QUIT", "RANDOMKEY", "SCAN", "SCARD", "SELECT",
		"SISMEMBER", "SMEMBERS", "SMISMEMBER", "SRANDMEMBER", "SSCAN", "STRLEN", "SUBSCRIBE", "TIME", "TTL", "TYPE",
		"UNSUBSCRIBE", "XLEN", "XRANGE", "XREAD", "XREVRANGE", "ZCARD", "ZCOUNT", "ZRANGE", "ZRANK", "ZSCAN", "ZSCORE",
	},
}

// Destroys says whether turns of a class stop the service, change how it works, or remove what it holds for others.
func (c Class) Destroys() bool { return c.in(destroyers[c.Protocol]) }

// destroyers are the verbs that a recording should not hold, by protocol.
var destroyers = map[string][]string{
	"redis": {
		"ACL DELUSER", "ACL LOAD", "ACL SETUSER", "CLUSTER", "CONFIG REWRITE", "CONFIG SET", "DEBUG", "FAILOVER", "FLUSHALL",
		"FLUSHDB", "FUNCTION DELETE", "FUNCTION FLUSH", "MIGRATE", "MODULE LOAD", "MODULE LOADEX", "MODULE UNLOAD", "REPLICAOF",
		"SCRIPT FLUSH", "SHUTDOWN", "SLAVEOF", "SWAPDB",
	},
}

// in says whether names hold a class or its verb, in upper case.
func (c Class) in(names []string) bool {
	name := strings.ToUpper(c.Name)
	verb, _, _ := strings.Cut(name, " ")
	return slices.Contains(names, name) || slices.Contains(names, verb)
}
