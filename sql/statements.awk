# Turns sql/statements/PROGRAM.sql into a C header: an enum of indexes and a table of
# { name, text }. A statement starts at "-- name: x"; other comment lines are left out.
function flush() {
    if (name != "")
        table = table "    { \"" name "\",\n" text "    },\n"
    text = ""
}
BEGIN {
    prefix = "SQL_" toupper(program)
}
/^-- name: / {
    flush()
    name = $3
    if (name !~ /^[a-z][a-z0-9_]*$/ || name in seen) {
        print FILENAME ":" FNR ": bad or repeated statement name: " name > "/dev/stderr"
        failed = 1
        exit 1
    }
    seen[name] = 1
    names = names "    " prefix "_" toupper(name) ",\n"
    next
}
/^[ \t]*--/ || /^[ \t]*$/ {
    next
}
name == "" {
    print FILENAME ":" FNR ": SQL before the first \"-- name:\"" > "/dev/stderr"
    failed = 1
    exit 1
}
{
    gsub(/\\/, "&&")
    gsub(/"/, "\\\"")
    text = text "      \"" $0 "\\n\"\n"
}
END {
    if (failed)
        exit 1
    flush()
    print "/* Generated from sql/statements/" program ".sql. Include \"db.h\" first. */"
    print "#ifndef " prefix "_H\n#define " prefix "_H\n"
    print "enum sql_" program " {\n" names "    " prefix "_COUNT\n};\n"
    print "static const struct db_statement " prefix "[] = {\n" table "};\n"
    print "#endif"
}
