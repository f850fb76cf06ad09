/* SPDX-License-Identifier: MIT */
/*
 * test_secrets_commands - passwords of command lines are found, and what has the same letters is not.
 *
 * The passwords were never valid; they are joined to their commands when the test runs.
 */
#include <stdio.h>
#include <string.h>

#include "test.h"
#include "validate/secrets.h"

/* clang-format off */
/* A command line up to a password, and what follows it. */
static const struct {
    const char *before, *after;
} COMMANDS[] = {
    { "mysql -u root -p", "" },                 { "mysql -uroot -p", " shop < dump.sql" },
    { "mysqldump --single-transaction -h db -u ada -p'", "' shop | gzip" },
    { "docker exec -i db /usr/bin/mysql -p\"", "\" shop" }, { "mariadb -p", " -e 'select 1'" },
    { "!mysql -u ada -p", "" }, { "\t@mysql -u ada -p", "" },
    { "sudo mysqladmin -u root -p", " ping" },  { "mysql -u root \"-p", "\" shop" },
    { "sh -c 'mysql -uroot -p", "'" },          { "$(mysql -N -p", ")" },
    { "- mysql\n  - -u\n  - root\n  - -p", "\n" },
    { "CMD [\"mysqladmin\", \"-p", "\", \"ping\"]" },
    { "{\\\"cmd\\\":\\\"mysql -u root -p", "\\\"}" },
    { "mysql \\\n  -u root \\\n  -p", " \\\n  shop" },
    { "curl -u ada:", "" },                     { "curl -sS -X POST https://x -u ada:", " -d @f" },
    { "curl -u 'ada:", "' https://x" },         { "curl --user ada:", " https://x" },
    { "curl --user=ada:", "" },                 { "curl -ksu ada:", " https://x" },
    { "curl -uada:", " https://x" },            { "curl --proxy-user \"ada:", "\" https://x" },
    { "curl \"https://x/?a=1&b=2\" -u \"ada:", "\"" }, { "curl -U ada:", " -x p:1 https://x" },
    { "curl https://x \\\n  -H 'Accept: */*' \\\n  -u ada@example.com:", "" },
    { "[\"curl\", \"-u\", \"ada:", "\", \"https://x\"]" }, { "http -a ada:", " GET x" },
    { "sshpass -p ", " ssh ada@host" },         { "sshpass -p'", "' scp a host:" },
    { "sshpass -v -p \"", "\" ssh host" },      { "[\"sshpass\", \"-p\", \"", "\", \"ssh\"]" },
    { "- sshpass\n- -p\n- ", "\n- ssh" },
    { "docker login registry.local -u ada -p ", "" }, { "echo x; helm registry login -p ", " r" },
    { "az login --service-principal -u id -p ", " --tenant t" },
    { "redis-cli -h cache -a ", " ping" },      { "mongosh -u ada -p ", " db" },
    { "mongodump --uri x -p '", "'" },          { "ldapsearch -x -D cn=a -w ", " -b dc=x" },
    { "sqlcmd -S db -U sa -P ", " -Q 'select 1'" }, { "unzip -P ", " a.zip" },
    { "7z x -p", " a.7z" },                     { "zip -r -P ", " a.zip dir" },
    { "smbclient //srv/share -U 'dom\\ada%", "'" }, { "lftp -u ada,", " ftp://x" },
    { "ipmitool -H h -U admin -P ", " power on" }, { "ssh-keygen -t ed25519 -N '", "' -f k" },
    { "openssl rsa -passin pass:", " -in k" },  { "mosquitto_pub -u a -P ", " -t x" },
    { "twine upload -u ada -p ", " dist/x" },   { "openssl enc -aes-256-cbc -k ", " -in f" },
};

/* The same where the name of an option says what it is: three kinds of characters at least. */
static const struct {
    const char *before, *after;
} OPTIONS[] = {
    { "tool --password ", " --verbose" },       { "tool --password=", "" },
    { "tool --password '", "' x" },             { "tool --db-password=\"", "\"" },
    { "svn co --username ada --password ", " svn://x" }, { "wget --http-password=", " https://x" },
    { "influx -username ada -password ", "" },  { "plink -pw ", " host" },
    { "keytool -genkey -storepass ", " -alias a" }, { "gpg --batch --passphrase ", " -d f" },
    { "java -Dspring.datasource.password=", " -jar a.jar" }, { "[\"tool\", \"--password\", \"", "\"]" },
    { "tool --admin-passwd ", "" },             { "tool \\\n  --password \\\n  ", "" },
    { "PGPASSWORD=", " psql -h db -U ada" },    { "$ MYSQL_PWD='", "' mysql -u root" },
    { "cd /srv; PGPASSWORD=\"", "\" pg_dump shop" }, { "SSHPASS=", " sshpass -e ssh host" },
    { "ssh host \"PGPASSWORD='", "' psql -h db\"" },
};

/* Nobody's password is among these. */
static const char *const PLAIN_COMMANDS[] = {
    "mkdir -p Release2024x/build7z",
    "mkdir -p x && mysql -u root",
    "cp -p Backup2024x.tar /srv",
    "docker run -p 8080:80 -u 1000:1000 nginx1.27",
    "docker run -d -p 127.0.0.1:5432:5432 -e POSTGRES_DB=shop42db postgres:15.4-alpine3.18",
    "docker run -u deploy:Group2024x app",
    "docker compose -p Project2024x up",
    "docker compose -p shop42test exec db mysql -u root shop",
    "mysql -u root -p shop_production2024",
    "mysql -u root -p",
    "mysql -u root -p < backup2024x.sql",
    "mysql -h db -P 3306 -u root --protocol=tcp",
    "mysql -uroot -p\"$MYSQL_ROOT_PASSWORD\" shop1",
    "mysql -uroot -p${MYSQL_ROOT_PASSWORD1}",
    "mysql -uroot -p$(cat /run/secrets/db_password1)",
    "mysql -u root -ppassword",
    "mysql -u root -p<your password>",
    "mysql -u root -pYOUR_PASSWORD_1",
    "mysql -u root -proot",
    "mysql -u root\nmkdir -pm700 Release2024x",
    "mysqldump shop | ssh -p2222 backup7host",
    "mysql --password shop_db_2024",
    "mysql --password",
    "psql -p 5433 -U ada shop2024db",
    "psql --no-password Shop2024db",
    "ps -u ada1234567",
    "ps -u user",
    "sudo -u ada2024xyz make",
    "sudo -u root -p Prompt2024x: ls",
    "curl -u ada https://x",
    "curl -u ada: https://x",
    "curl -u admin:admin https://x",
    "curl -u username:password https://x",
    "curl -u \"$USER:$TOKEN2024\" https://x",
    "curl -u ada:$(pass show example2) https://x",
    "curl -u <user>:<password1> https://x",
    "curl -u elastic:changeme https://localhost:9200",
    "curl -u ada:xxxxxxxx1 https://x",
    "curl -u ada:${TOKEN_2024} https://x",
    "curl -u ada:example-password1 https://x",
    "curl -o Report2024.pdf https://x:8443/a1b2c3d4",
    "curl -X POST https://x | docker run -u app:Group2024x img",
    "curl -L https://x && ps -u user:Name2024x",
    "curl -H 'X-Trace: a' https://x -w '%{http_code}'",
    "sshpass -e ssh -p 2222 host",
    "sshpass -f pwfile scp -p Report2024.pdf host:",
    "sshpass -p \"$SSH_PASSWORD1\" ssh host",
    "sshpass -p password ssh host",
    "sshpass -p '<password1>' ssh host",
    "ssh -p 2222 ada@host7.example.com",
    "scp -P 2222 Report2024.pdf host:",
    "docker login -u ada --password-stdin registry2024.local",
    "docker login -u ada -p $TOKEN_2024",
    "git log -p Makefile2x",
    "git add -p src/Main2Test.java",
    "perl -pi -e 's/a1b2c3d4/B2/' f",
    "netstat -pant1234 | grep 8080",
    "tar -xpf Backup2024x.tar",
    "install -p -m 755 Tool2024x /usr/local/bin",
    "rsync -p --chmod=D755 a1b2c3d4E host:",
    "unzip -p Archive2024x.zip",
    "zip -r Archive2024x.zip dir",
    "7z x Archive2024x.7z",
    "redis-cli -p 6379 -n 0 get Session2024x",
    "mongo --port 27017 Shop2024db",
    "redis-cli --user default Get2024xyz",
    "tool --password",
    "tool --password PASSWORD1",
    "tool --password --verbose1A",
    "tool --password \"$DB_PASSWORD1a\"",
    "tool --password={{ vault.Db1Password }}",
    "tool --password=<Password1>",
    "tool --password-file /run/secrets/Db1Pass",
    "tool --passwordFile=/run/secrets/Db1Pass.txt",
    "tool --password file:///run/secrets/Db1Pass",
    "tool --password hunter2",
    "tool --token TOKEN",
    "tool --pass-through Value2024x",
    "tool --bypass Cache2024x",
    "pytest -k Login2Password",
    "PGPASSWORD=$DB_PASS1a psql -h db",
    "PGPASSWORD=secret psql -h db",
    "PGPASSWORD=<Password1> psql -h db",
    "The option -p tells mysql to ask for a Password1.",
    "We moved mysql; use -pX2024abcd only in tests.",
    "log in - pick Option2024x from the list",
    "The user -u of curl takes name:word pairs",
    "Since curl -u is hard to read, prefer .netrc files2024",
    "zip -code lookups for ZIP -P4 areas take 20240131abcd",
    "the login page -p1a2b3c4d",
    "--password PASSWORD  the password of the user",
    "-p, --password PASS    ask for Password1",
};

/* A name, and a line that is no value of it. */
static const char *const PLAIN_LINES[] = {
    "Rotate the token\n9fceb02d0ae598e95dc970b74767f19372d61af8 is the commit",
    "9fceb02d0ae598e95dc970b74767f19372d61af8 Rotate the token\n"
    "18f3c2e7b1d7c3a9d2e1f0a2b3c4d5e6f7a8b9c0 Say so",
    "Rename the secret\n9fceb02d0ae598e95dc970b74767f19372d61af8\n",
    "This is about the API key\n0b1c2d3e4f5a6b7c8d9e0f1a2b3c4d5e of build 7\n",
    "Commits about the token:\n9fceb02d0ae598e95dc970b74767f19372d61af8 Rotate it\n",
    "Builds with the secret:\n\n0b1c2d3e4f5a6b7c8d9e0f1a2b3c4d5e (build 7)\n",
    "password:\n  minLength: 12\n  maxLength: 128\n",
    "password:\n  type: string\n  pattern: ^[A-Za-z0-9]{12,64}$\n",
    "\"password\": {\n  \"type\": \"string\",\n  \"minLength\": 12\n}",
    "secret:\n  name: db-credentials-production-eu-west-1\n",
    "secrets:\n  - db_password\n  - jwt_signing_key_2024\n",
    "tokens:\n  - access\n  - refresh\n",
    "Passwords:\n* at least 12 characters\n* OneUpperCaseLetter1 at least\n",
    "the token:\n\nSee chapter 4.",
    "token:\n  $ref: '#/components/schemas/AccessTokenV2Response'\n",
    "password: |\n  the one of the vault, item 4711\n",
    "api_key:\n  from: env\n",
    "password:\n  valueFrom:\n    secretKeyRef: 9f86d081884c7d659a2feaa0c55ad015",
    "token\n550e8400-e29b-41d4-a716-446655440000\n",
    "Password\nhunter2\n",
    "API key\n\nThe API key is rotated every month.",
    "| token | meaning |\n| --- | --- |\n| access_token_v2 | for requests |",
    "| password | string | required |",
    "| Secret | projects/acme-prod/secrets/db-password/versions/3 |",
    "acme/auth      20240131-9f86d081884c7d65   2 days ago   120MB",
    "PASS    src/components/LoginV2Page9.test.js",
    "pass\tTestRotatesKeys2024AndMore17\t0.3s",
    "db-password   Opaque   1   3d",
    "setToken(\"next-page\")",
    ":param Ed25519PrivateKey|Ed25519PublicKey key: the key",
    "['crc-16-buypass', 'Crc16Buypass2Table99xQ']",
    "t(\"password\", \"Please enter your password\")",
    "(\"token\", \"access_token_expires_2024\")",
    "password: str = Field(min_length=12)",
    "token: string = getAccessTokenV2Response()",
    "def login(password: str, otp2: str) -> Session2024:",
    "OLDPWD=/home/ada/src/Build2024Q3x1/Release7",
    "bypass: 9f86d081884c7d659a2feaa0c55ad015",
    "access_key_id: see the wiki",
    "ACCESS_KEY_ID=<your access key id>",
    "The access key id is no secret.",
    "key id: 9f86d081884c7d659a2feaa0c55ad015",
    "KEY_ID=9f86d081884c7d659a2feaa0c55ad015",
    "identified by 9f86d081884c7d65 in the log",
    "identified by the serial number A1B2C3D4E5F6G7H8",
};
/* clang-format on */

static void
finds_passwords_of_commands(void **state)
{
    static const char *const PASSWORDS[] = { "q7Zp2Lx9", "tr0ub4dor-and-3", "xK9#mP2$vL5@",
                                             "Summer2024!", "0a1b2c3d4e5f" };
    for (size_t i = 0; i < TEST_COUNT(COMMANDS); i++)
        for (size_t j = 0; j < TEST_COUNT(PASSWORDS); j++) {
            char text[256];
            int len = snprintf(text, sizeof(text), "%s%s%s", COMMANDS[i].before, PASSWORDS[j],
                               COMMANDS[i].after);
            if (!secrets_find(text, (size_t)len))
                fail_msg("missed: %s", text);
            len = snprintf(text, sizeof(text), "We met.\n%s%s%s\nThen lunch.", COMMANDS[i].before,
                           PASSWORDS[j], COMMANDS[i].after);
            if (!secrets_find(text, (size_t)len))
                fail_msg("missed in a longer text: %s", text);
        }
}

static void
finds_passwords_of_options(void **state)
{
    static const char *const PASSWORDS[] = { "q7Zp2Lx9", "xK9#mP2$vL5@", "Summer2024!",
                                             "p4ss-w0rt!" };
    for (size_t i = 0; i < TEST_COUNT(OPTIONS); i++)
        for (size_t j = 0; j < TEST_COUNT(PASSWORDS); j++) {
            char text[256];
            int len = snprintf(text, sizeof(text), "%s%s%s", OPTIONS[i].before, PASSWORDS[j],
                               OPTIONS[i].after);
            if (!secrets_find(text, (size_t)len))
                fail_msg("missed: %s", text);
        }
}

static void
passes_commands_and_lines(void **state)
{
    for (size_t i = 0; i < TEST_COUNT(PLAIN_COMMANDS); i++) {
        const char *kind = secrets_find(PLAIN_COMMANDS[i], strlen(PLAIN_COMMANDS[i]));
        if (kind)
            fail_msg("false alarm (%s): %s", kind, PLAIN_COMMANDS[i]);
    }
    for (size_t i = 0; i < TEST_COUNT(PLAIN_LINES); i++) {
        const char *kind = secrets_find(PLAIN_LINES[i], strlen(PLAIN_LINES[i]));
        if (kind)
            fail_msg("false alarm (%s): %s", kind, PLAIN_LINES[i]);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_passwords_of_commands),
        cmocka_unit_test(finds_passwords_of_options),
        cmocka_unit_test(passes_commands_and_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
