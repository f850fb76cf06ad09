# Turns the Lua scripts of Redis into a C header: a number for each, by the name of its file, and the
# table of { name, text } in that order. Those of the first folder come first: SCRIPTS_JOBS says how many.
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
{
    gsub(/\\/, "&&")
    gsub(/"/, "\\\"")
    gsub(/\t/, "\\t")
    table = table "      \"" $0 "\\n\"\n"
}
END {
    print "/* Generated from common/protocol/lua and gateway/lua. Include \"kv/kv.h\" first. */"
    print "#ifndef SCRIPTS_H\n#define SCRIPTS_H\n"
    print "enum script_number {\n" numbers "    SCRIPTS_ALL\n};\n"
    print "static const struct kv_script SCRIPTS[SCRIPTS_ALL] = {\n" table "    },\n};\n\n#endif"
}
