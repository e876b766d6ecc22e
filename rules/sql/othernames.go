package sql

import "slices"

// otherFunction says what to write here for a function of another database, ""
// if that is not known.
func otherFunction(name string) string {
	switch name {
	case "ifnull", "nvl", "isnull":
		return "write coalesce(…)"
	case "if", "iif":
		return "write CASE WHEN … THEN … ELSE … END"
	case "len":
		return "write length(…)"
	case "instr", "charindex", "locate":
		return "write position(part IN text)"
	case "group_concat", "listagg":
		return "write string_agg(…, ',')"
	case "strftime", "date_format":
		return "write to_char(time, 'YYYY-MM-DD HH24:MI:SS')"
	case "median", "quantile", "percentile":
		return "write percentile_cont(0.5) WITHIN GROUP (ORDER BY …)"
	case "time_bucket", "bin":
		return "write date_bin('5 minutes', time, '2026-01-01')"
	case "split":
		return "write string_to_array(text, ','), or split_part(text, ',', 1)"
	case "list_contains", "array_contains", "has":
		return "write x = ANY (array)"
	case "contains":
		return "write text LIKE '%part%', or x = ANY (array)"
	case "count_distinct", "approx_count_distinct", "dc", "dcount", "uniq":
		return "write count(DISTINCT …)"
	case "any_value", "first", "last", "any":
		return "write min(…), or SELECT DISTINCT ON (…) … ORDER BY"
	case "arg_max", "arg_min", "argmax", "argmin", "max_by", "min_by":
		return "write (array_agg(x ORDER BY y DESC))[1]"
	case "cidrmatch", "cidr_match", "in_cidr_block":
		return "write address::inet <<= '10.0.0.0/8'"
	case "datetime", "clock_timestamp", "timeofday", "getdate", "sysdate":
		return "write now(), which is one moment for a whole query"
	case "unixepoch", "unix_timestamp":
		return "write extract(epoch FROM now())"
	case "json_extract", "json_value", "jsonb_path_query":
		return "write json->'key'->>'key', or json #>> '{key,key}'"
	case "random", "rand", "gen_random_uuid":
		return "every run of a query gives the same"
	}
	return ""
}

// otherColumn is the one of names that other tools call by name, "" if there
// is none.
func otherColumn(name string, names []string) string {
	ours := ""
	switch name {
	case "uid":
		ours = "user_id"
	case "gid":
		ours = "group_id"
	case "euid":
		ours = "effective_user_id"
	case "parent", "parent_pid", "parent_process_id", "parent_id":
		ours = "ppid"
	case "process_id":
		ours = "pid"
	case "process_name", "comm":
		ours = "name"
	case "image", "binary_path":
		ours = "executable_path"
	case "args", "argv", "commandline", "arguments":
		ours = "command_line"
	case "sha256", "hashes":
		ours = "executable_hash"
	case "ts", "timestamp", "event_time", "_time":
		ours = "time"
	case "event_type", "action":
		ours = "event"
	case "user", "account":
		ours = "user_name"
	}
	if !slices.Contains(names, ours) {
		return ""
	}
	return ours
}

// otherOperator says what to write for an operator of another language.
func otherOperator(name string) string {
	switch name {
	case "==":
		return "write ="
	case "&&":
		return "write AND; && is for arrays and networks"
	}
	return ""
}
