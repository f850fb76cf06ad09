# Turns the Lua scripts of Redis into a C header: a number for each, by the name of its file, and the
# table of { name, text } in that order. Those of the first folder come first: SCRIPTS_JOBS says how many.
# A line "-- use lib/NAME.lua" stands for that file, beside this one.
function add(line) {
    gsub(/\\/, "&&", line)
    gsub(/"/, "\\\"", line)
    gsub(/\t/, "\\t", line)
    table = table "      \"" line "\\n\"\n"
}
FNR == 1 {
    folder = name = FILENAME
    sub(/[^\/]*$/, "", folder)
    sub(/.*\//, "", name)
    sub(/\.lua$/, "", name)
    if (last != "" && folder != last)
        numbers = numbers "    SCRIPTS_JOBS,\n    SCRIPTS_BEFORE_NEXT = SCRIPTS_JOBS - 1,\n"
    last = folder
    numbers = numbers "    SCRIPT_" toupper(name) ",\n"
    table = table (table == "" ? "" : "    },\n") "    { \"" FILENAME "\",\n"
}
/^-- use lib\// {
    file = "common/protocol/lua/" $3
    while ((got = (getline line < file)) > 0)
        add(line)
    if (got < 0) {
        print FILENAME ": there is no " file >"/dev/stderr"
        exit failed = 1
    }
    close(file)
    next
}
{ add($0) }
END {
    if (failed)
        exit 1
    print "/* Generated from common/protocol/lua and gateway/lua. Include \"kv/kv.h\" first. */"
    print "#ifndef SCRIPTS_H\n#define SCRIPTS_H\n"
    print "enum script_number {\n" numbers "    SCRIPTS_ALL\n};\n"
    print "static const struct kv_script SCRIPTS[SCRIPTS_ALL] = {\n" table "    },\n};\n\n#endif"
}
