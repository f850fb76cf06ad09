# Turns text files into a C header: a table of { path, text }, ended by a row of null pointers.
BEGIN {
    upper = toupper(name)
    print "/* Generated: the files that the program carries with it. */"
    print "#ifndef EMBED_" upper "_H\n#define EMBED_" upper "_H\n"
    print "#ifndef EMBEDDED_FILE\n#define EMBEDDED_FILE\nstruct embedded_file {\n    const char *path;\n    const char *text;\n};\n#endif\n"
    print "static const struct embedded_file EMBED_" upper "[] = {"
}
FNR == 1 {
    if (started)
        print "    },"
    started = 1
    print "    { \"" FILENAME "\","
}
{
    gsub(/\\/, "&&")
    gsub(/"/, "\\\"")
    gsub(/\t/, "\\t")
    print "      \"" $0 "\\n\""
}
END {
    if (started)
        print "    },"
    print "    { 0, 0 },\n};\n\n#endif"
}
