/* SPDX-License-Identifier: MIT */
/*
 * test_secrets - credentials are found, and what merely looks like one is not.
 *
 * The credentials are random and were never valid. They stand here in two pieces, joined when the
 * test runs, so that no scanner finds one in this file.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "json/json.h"
#include "test.h"
#include "validate/secrets.h"
#include "validate/secrets_own.h"

/* clang-format off */
static const struct {
    const char *before, *rest, *after, *kind;
} POSITIVES[] = {
    { "the key is relay_", "sk_C3J27XDCG2LmlZGEONYlgCtjfIZ4SOcMz9CPVNPkNa1Hedcm4p", " ok", "Gantry API key" },
    { "", "sk-ant-api03-MbXDuCL1mHoOsFaQfDPrAJ71fTquWoGsbeKXgzg2-sye9b2Rann76dEyTzAeKOmXRrvftva", "", "Anthropic API key" },
    { "use sk-", "proj-9AW7hipTgadDZFlRJmCGmUXiAPyhzAnar3ZLt4bnlz2MPKgc_jnCqaXNv1s", ".", "OpenAI API key" },
    { "sk-", "svcacct-yeefnLOpaMxxNDi9LE1Ki3ylOjt6o0NpUmkVO8JmR8y4EMfAdggcG9qpVTzq", "", "OpenAI API key" },
    { "OPENROUTER: sk-", "or-v1-df95247f2866028de71159b42b4ea410fb9102f29a422eb14ab2f2d0f0cc0222", "", "OpenRouter API key" },
    { "old one sk-", "Ohq4AUvy7VSLDCD1IfHWGbtMfEbo9ShFXNQ6Fq5axtjRNmHk", "", "API key" },
    { "stripe sk_", "live_W5vQ7CF5puzQqmOBZZW6m4ny", " for payments", "Stripe key" },
    { "\"sk_", "test_oL6uniiFw152cTe8r0khCEr7", "\"", "Stripe key" },
    { "rk_", "live_n1AyOHFRuT11NCue1cr3McRTrKwtPY", "", "Stripe key" },
    { "hook secret whs", "ec_KbPizDmbX1rpXjYdOhCgOIPOZx9eRmm0", "", "webhook secret" },
    { "token ghp", "_EqlTaWEITclorXwIS8HGNWkz2YS5ofA75Uyi", "", "GitHub token" },
    { "token gho", "_CDmO46ayJKP4GY08vDuPngU30ZP7Thnp5yft", "", "GitHub token" },
    { "token ghu", "_IY7uq6T2bwGfcCvJAXrF6bnZ3eBZclIvRY6i", "", "GitHub token" },
    { "token ghs", "_EjH5UH1RSC84FL8SfWoCHJs1UJOkHG16JqtQ", "", "GitHub token" },
    { "token ghr", "_y9235Nnt2j9IHrKFmAIhGaMybIcH6zIZKhFf", "", "GitHub token" },
    { "github_", "pat_Ske7IDA69Z7zrpEFivB507_56EHugmANb7qiSXbcmjoaRsuUwpNFgFULh2GNqTmSH4BbyOA0HNkIn3OIOn", "", "GitHub token" },
    { "gl", "pat-Hn2INL2io6VOZw5luMu5", "", "GitLab token" },
    { "xox", "b-2345678901-2345678901234-7mnXm4gi4piUfqygB18AIYTi", "", "Slack token" },
    { "xox", "p-2345678901-2345678901234-6c036bb3a62f301f46536559314e23ac", "", "Slack token" },
    { "xa", "pp-1-A0123456789-1234567890123-edbd6b0165debbc6530a2c6a8835c4abd5c652a9f30b1789a6c52cf63c03378e", "", "Slack token" },
    { "https://hooks.sl", "ack.com/services/T01ABCDEF/B02ABCDEF/zGdWmPyagqqr5vJIGA9HK2gO", "", "webhook URL" },
    { "https://disc", "ord.com/api/webhooks/1012345678901234567/CZPeJMQW9cy78kyEk2FINMdB8FAsHzMtxHsEPrJ7sQTVsbaXpLcOkAWRyd5uVzdLU8ue", "", "webhook URL" },
    { "aws_access_key_id = AK", "IAO14QPC7G3JPHD037", "", "AWS access key" },
    { "AS", "IAHNDW7JHX2I03Q0X7", " session", "AWS access key" },
    { "aws_secret_access_key = ", "XVH0i8sUipEhG5tYGN2w/rrNRUKSLmOrWpm8pGP6", "", "assigned credential" },
    { "maps: AI", "zam4RcOdarqBbNcgoIreWf6RkJpOxEEwnvvFV", "", "Google API key" },
    { "ya", "29.i13eZhCZ0N1XXnCBVqyZjxjP1MusJWV06lBPxLgD4ufIfBKKF0RDt0Xaetn6", "", "Google access token" },
    { "GOC", "SPX-QMfStFUWSus4jowQUux6huTCKM65", "", "Google client secret" },
    { "np", "m_8R6rCHZtDuoz97U5Hpfx1xbxRzLyYmVKxZyI", "", "npm token" },
    { "py", "pi-AgEIcHlwaS5vcmcj1LKllfWD42sZboHdIkKs9bP1ZBeLItYIfvfrVg5ufbOPjgV0PBpToFW6HvWDzwvZ9vRiF", "", "PyPI token" },
    { "rubyg", "ems_f21db0c2e0b03dd475c5a6cd981f939451e0f1a365b67f7e", "", "RubyGems key" },
    { "h", "f_l5rzl6W7tOJ80JE2qF4z69vQJX9fE3ozdn", "", "Hugging Face token" },
    { "gs", "k_8iZZyHYHXrYdQ7p5a3E5xCYpTAM3kAkXujq63ZHiOVNrHIdjKXla", "", "Groq API key" },
    { "r", "8_n062j0ifwrNTHg4ESDf9VLI2GtbYmAm6RfY0C", "", "Replicate token" },
    { "SG", ".ncIAHFk819tutzeJtDQTex.eRigQzRDV9Y1hPCa3yTTEpsKhDXa22ZUn5NjsOy7IVt", "", "SendGrid key" },
    { "dop", "_v1_ac2866c3a98faec23434556c1e237153dd2ad464cfad0ca708a6a9e3c6a93589", "", "DigitalOcean token" },
    { "shp", "at_7b46606247fdaa2b8e3e47285a4309b7", "", "Shopify token" },
    { "hv", "s.WKx1klMJZeDczlY78QitWQ2V", "", "Vault token" },
    { "dckr", "_pat_6yNLOZWbkmADcjHyhKzlvHiqpK7", "", "Docker token" },
    { "ATA", "TT3xFfGF0vdPYcUQYjz9FMgEwA5N6SKWAWsF4D152SA0BhKh58HvHHBA5bu6dsUN5BUyM=A9273E7C", "", "Atlassian token" },
    { "lin", "_api_dESgH6pItQz8p4e6U93Qx3IAKZkoPVAKh5egHYih", "", "Linear API key" },
    { "notion secret", "_4IK8DaspUtbuleC5C0HzjwSLoctbD5utuFj7XXE4nms", "", "Notion secret" },
    { "fi", "gd_27S5dmu12w5EblO4SJmIOpm84dPgtU0u95r3AT4i", "", "Figma token" },
    { "PM", "AK-aed25793685798b37957842e-2e21098d25967580541ec0f152baf19553", "", "Postman key" },
    { "mailgun key", "-d7e878f7f8161e5a40fde802357419d1", "", "Mailgun key" },
    { "xkey", "sib-a8f25c875fe1adeb614f44e107d42c9fd2179837de27b9a615c1a5ec6cc16db7-ORl3FnIyAedSrx8r", "", "Brevo key" },
    { "da", "pi058c683b14b4730ace2ca819c7f16441", "", "Databricks token" },
    { "NR", "AK-NT0148I79QU2YJNR82ZIY7WOGS7", "", "New Relic key" },
    { "gl", "sa_xwNnic2bVOEKaZWVtQQe62nJSwQh9X3x_782d3cf1", "", "Grafana token" },
    { "sb", "p_fca9f875c6f5b72ad4f890c3b2c81cf9fa8201ba", "", "Supabase token" },
    { "dp.", "pt.5xKtq0Q4lPEyNv95xbKT8nXeOdNIANAere1D4Cy96yc", "", "Doppler token" },
    { "ts", "key-auth-opHa7IzapJF2PWJfN-0J41SYvqwg4buZTnSzRk9m0kkvNSFZKs", "", "Tailscale key" },
    { "AGE-SEC", "RET-KEY-1X0SX85PPXUL6IEEGTH264CK04DWQZ6ZQQXULVNI0IRKIMYSOLA4IRR0QZ7", "", "age key" },
    { "S", "Kc4153169b3ca0f5b29e97cd4c694e538", " (twilio)", "Twilio key" },
    { "nats seed S", "U73HJUBRJRZRUOF6MXQDJEATFALV6IM26C2WZDNQRMSP4DLBKHERWBTE4", "", "NATS seed" },
    { "bot 123456789", ":AAGDa4ne9xaXHqZpY7VFztZI0QXZXg78Ez1", "", "Telegram bot token" },
    { "jwt eyJ", "hbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.TAq56NbaKjouyUxGQrZxOOCwtre5PuMgqvnVlndViIt", "", "JSON Web Token" },
    { "Authorization: Bea", "rer RnlwgjjxwlBbazGdzgu8I18Wnb4lueWLgLuBE98o", "", "bearer token" },
    { "curl -H \"authorization: bea", "rer fd582ca5b04c16bed33ededc7c11ee911a4ea8a6", "\"", "bearer token" },
    { "Authorization: Ba", "sic dXNlcjpzM2NyM3RwYXNzd29yZA==", "", "basic authorization" },
    { "-----BEGIN RSA PRI", "VATE KEY-----\nMIIEowIBAAKCAQEAVEJzd39iW5Fhol17PY8j1hZgGqqel3cTvqHZwDnI", "", "private key" },
    { "-----BEGIN OPENSSH PRI", "VATE KEY-----\nb3BlbnNzaC1rZXktdjEA", "", "private key" },
    { "notes\n-----BEGIN PGP PRI", "VATE KEY BLOCK-----\n\nlQOYBF", "", "private key" },
    { "-----BEGIN EC PRI", "VATE KEY-----", "", "private key" },
    { "PuTTY-User-Ke", "y-File-3: ssh-ed25519", "", "private key" },
    { "postgres://app:", "tr0ub4dor-and-3", "@db.internal:5432/app", "URL with a password" },
    { "mongodb+srv://svc:", "a3BmFr9PpegJCY", "@cluster0.mongodb.net", "URL with a password" },
    { "redis://default:", "WF4peZF2dX3J5eY8jZ", "@cache:6379/0", "URL with a password" },
    { "api_key = \"", "xlgvc7w93o1shAlNyb2RND5FefPnIOu4", "\"", "assigned credential" },
    { "{\"client_secret\": \"", "9UmJQBya0vSu2O8rQMnSnlXikSLDcirhq8wNNwtm", "\"}", "assigned credential" },
    { "export API_TOKEN=", "026b9d6428dbd8e433bd7f39392e7fc6d7e2bda9", "", "assigned credential" },
    { "password: ", "LCQ9rsQSaRNpaAxi", "", "assigned credential" },
    /* the services' own examples, and what people type to try it out: the form is what counts */
    { "aws_secret_access_key=", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "", "assigned credential" },
    { "gh", "p_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "", "GitHub token" },
    { "s", "k-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "", "API key" },
    { "sk-", "proj-abcdefghijklmnopqrstuvwxyz", "", "OpenAI API key" },
    { "sk-", "live-abcdef1234567890", "", "API key" },
    { "gl", "pat-12345678901234567890", "", "GitLab token" },
    { "AI", "zaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "", "Google API key" },
    { "relay_", "sk_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "", "Gantry API key" },
    { "Bea", "rer abcdefghijklmnopqrstuvwxyz", "", "bearer token" },
    { "Authorization: Bea", "rer mF_9.B5f-4.1JqM", "", "bearer token" },
    { "\"Authorization\": \"Bea", "rer abc123def456\"", "", "bearer token" },
    { "AccountKey=", "q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA=", "", "assigned credential" },
    { "API key: ", "9f86d081884c7d659a2feaa0c55ad015", "", "assigned credential" },
    { "apikey=", "k1m2n3o4p5q6r7s8", "", "assigned credential" },
    { "bot MTk4NjIyNDgzNDcx", "OTI1MjQ4.Cl2FMQ.ZnCjm1XVW7vRze4b7Cq4se7kKWs", "", "Discord bot token" },
    { "---- BEGIN SSH2 ENCRYPTED PRI", "VATE KEY ----", "", "private key" },
    { "X-API-Key: ", "L53qyArvg042XLgIQgD5nfYxbxbULQSw", "", "assigned credential" },
};

static const char *const NEGATIVES[] = {
    "The API key is rotated every month.",
    "Remember to set your API key before running the script.",
    "User prefers bearer tokens over API keys.",
    "Bearer token authentication is described in chapter 4.",
    "The bearer of this letter is authorised.",
    "Basic authentication is disabled on staging.",
    "basic understanding-of-kubernetes networking",
    "sk-learn 1.2 was replaced by scikit-learn.",
    "uses sk-learn-contrib and risk-adjusted-returns-2024-q3-report",
    "task-force-2024-recommendations-final-version-17",
    "The disk-encryption-key-rotation-procedure-v2 document",
    "npm_config_registry is set in CI",
    "ghp_ is the prefix of GitHub tokens.",
    "Tokens look like ghp_xxxxxxxxxxxx in the docs.",
    "sk-proj-your-key-goes-here-please-1234",
    "sk-test-results-of-the-second-quarter-2024",
    "sk-proj-management-course-for-beginners",
    "Authorization: Bearer authentication is used.",
    "Bearer RFC6750 tokens are opaque.",
    "token=EXAMPLE_TOKEN_1234567890abcdefAB",
    "the API key: see the wiki",
    "NMOxyz.abcdef.ghi is a domain",
    "---- BEGIN SSH2 PUBLIC KEY ----",
    "AKIA is how AWS access keys begin.",
    "AIzawa is a town in Japan",
    "commit 9fceb02d0ae598e95dc970b74767f19372d61af8 broke the build",
    "sha256 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "id 550e8400-e29b-41d4-a716-446655440000",
    "order 018f3c2e-7b1d-7c3a-9d2e-1f0a2b3c4d5e shipped",
    "password: hunter2",
    "The password is in the vault, not here.",
    "password = <your password>",
    "api_key: YOUR_API_KEY_GOES_HERE_1234567890",
    "token=${API_TOKEN}",
    "API_KEY=changeme1234567890ABCDEFabcdef",
    "export TOKEN=$(cat /run/secret)",
    "secret: see docs/operations/rotating-secrets.md",
    "postgres://user:password@localhost:5432/app",
    "postgres://localhost:5432/app",
    "https://example.com:8080/path@v2",
    "https://user@example.com/",
    "mysql://root:${DB_PASSWORD}@db/app",
    "redis://cache:6379/0",
    "Meet at 10:30 and bring the secret santa gift.",
    "key-value stores like Redis",
    "key-takeaways from the 2024 offsite: ship less, ship better",
    "-----BEGIN PUBLIC KEY-----",
    "-----BEGIN CERTIFICATE-----",
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ1 user@host",
    "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQC7 laptop",
    "the JWT has three parts: header.payload.signature",
    "eyJ is how every JWT begins",
    "eyJhbGciOiJIUzI1NiJ9 alone is only a header",
    "hf_transfer speeds up downloads",
    "secret_santa_list_for_the_whole_company_2024",
    "pypi-mirror is down",
    "glpat- tokens expire after a year",
    "xoxb- means a bot token",
    "SKU 12345-ABCDE is out of stock",
    "SUPERCALIFRAGILISTIC",
    "SK hynix announced memory prices",
    "whsec_ is the webhook prefix",
    "dapi is short for data API",
    "r8_ is what the replicate tokens start with",
    "figd_ tokens come from Figma",
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk",
    "User token count: 128000",
    "max_tokens: 4096",
    "tokens=12345678901234567890",
    "the access token expires in 3600 seconds",
    "Content-Type: application/json; charset=utf-8",
    "https://hooks.slack.com/ is where webhooks live",
    "phone +49 30 1234567890",
    "IBAN DE89370400440532013000",
    "Model gpt-4o-2024-08-06 answers best",
    "build 20240131.4-rc1-linux-amd64-x86_64",
    "Авторизация по токену отключена",
    "秘密鍵は金庫にあります",
    "private key is kept in an HSM",
    "authorization: required",
    "Bearer ${TOKEN}",
    "Authorization: Bearer <token>",
    "Authorization: Bearer YOUR_TOKEN_HERE_1234",
    "s3://bucket/AKIA-reports/2024",
    "git@github.com:org/repo.git",
    "user:pass@host is the URL form",
};
/* What people write about credentials, and what only looks like one. */
static const char *const HARMLESS[] = {
    "OPENAI_API_KEY=sk-" "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
    "AKIAIOSF" "ODNN7EXAMPLE is the documentation key.",
    "DATABASE_URL=postgres://postgres:postgres@db:5432/app",
    "mysql://root:password@localhost/shop",
    "amqp://rabbitmq:rabbitmq@queue:5672/",
    "redis://default:mypassword@cache:6379/0",
    "https://minioadmin:minioadmin@minio:9000",
    "ghp_" "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
    "DB_PASSWORD=changeme",
    "DB_PASSWORD=your-password-here-1234",
    "POSTGRES_PASSWORD=${POSTGRES_PASSWORD}",
    "POSTGRES_PASSWORD: $(cat /run/secrets/db)",
    "JWT_SECRET=<generate one with openssl rand -hex 32>",
    "MYSQL_ROOT_PASSWORD=example",
    "REDIS_PASSWORD=",
    "set DB_PASSWORD before the start",
    "the variable POSTGRES_PASSWORD_FILE names a file",
    "password_hash is an Argon2id string",
    "DB_PASSWORD is read from the environment",
    "password = getPasswordFromVault()",
    "token = fetchAccessTokenV2Response(client)",
    "secret = SecretStore.loadDefaultSecret",
    "api_key = settings.OPENAI_API_KEY",
    "apiKey: process.env.STRIPE_API_KEY",
    "access_token=response.json()['access_token']",
    "token: string, the page to go on from",
    "nextPageToken: CAUQAAxk29fQ81mZvV7b2",
    "next_token=eGk1Y0RkM2JtVXpNQ2Zk91",
    "sync_token: 9f2Kx81LmZqW03bVnT5y",
    "client token 550e8400-e29b-41d4-a716-446655440000",
    "idempotency token: 018f3c2e-7b1d-7c3a-9d2e-1f0a2b3c4d5e",
    "primary_key: order_id_2024_q3_final_v2",
    "cache_key=user:1234:profile:v7:en-GB",
    "partition_key = tenant/2024/11/28/part-00042",
    "s3_key=backups/2024-11-28T10-00-00Z/db1.tar.gz",
    "public_key: MCowBQYDK2VwAyEA9f8s2",
    "session: 2024-11-28T10-00-00Z_standup_notes_v2",
    "The session=morning talk is at 10",
    "session id 42 was closed",
    "Cookie: theme=dark; lang=en",
    "compass: points north by north-west",
    "bypass=enabled in firmware 3.2.1-rc4",
    "the pass: Brenner, 1370 m",
    "password reset was asked for by ada@example.com",
    "Passwords need 12 characters, a digit and a capital.",
    "password manager: 1Password, Bitwarden or KeePassXC",
    "passphrase: correct horse battery staple",
    "token count: 4096, token limit: 128000",
    "token budget=100000 per day",
    "stop_token=<|endoftext|>",
    "pad_token = '[PAD]'",
    "tokenizer: cl100k_base",
    "tokenization=byte-pair",
    "secretary: Ms. Abernathy-Smythe",
    "the secret ingredient is cardamom",
    "secret: projects/acme-prod/secrets/db-password/versions/3",
    "secretName: db-credentials-production-eu-west-1",
    "secret_santa: Ada -> Grace",
    "credentials: include",
    "credentials=same-origin",
    "authorization: none",
    "Authorization: see chapter 4 of the handbook",
    "authorizationUrl: https://login.example.com/oauth2/v2.0/authorize",
    "private key: kept in the HSM, slot 4",
    "access key: ask the platform team",
    "master key ceremony on 2024-11-28 in room B12",
    "account key figures: revenue 12.4M, churn 2.1%",
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBhX9 ada@laptop",
    "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "etag: W/0815-4711abcdef",
    "md5 d41d8cd98f00b204e9800998ecf8427e of the empty file",
    "git checkout 9fceb02d0ae598e995dc970b74767f19372d61af8",
    "docker pull registry.local/app@sha256:0123456789abcdef0123456789abcdef",
    "requestId: 7f3c9a1b-2d4e-4f60-b182-93a4b5c6d7e8",
    "trace 4bf92f3577b34da6a3ce929d0e0e4736 took 12 ms",
    "IBAN GB29NWBK60161331926819",
    "ISBN 978-3-16-148410-0",
    "VIN 1HGCM82633A004352",
    "model: mistral-7b-instruct-v0.3-q4_K_M.gguf",
    "kernel 6.1.0-27-amd64 x86_64",
    "lat/long 52.5200N 13.4050E",
    "if (token == null) return Response.status(401)",
    "<password>secret</password>",
    "--password PASSWORD  the password of the user",
    "--token TOKEN",
    "vault kv get -field=password secret/db/prod",
    "kubectl create secret generic db --from-file=password.txt",
    "grep -rn password src/main/java/com/example/Login2Controller.java",
    "トークン: 有効期限は一時間",
    "the password is getPasswordFromVault",
    "let password = user.getPasswordHashV2()",
    "- name: CACHE_KEY\n  value: 9f86d081884c7d659a2feaa0c55ad015",
    "- name: DB_PASSWORD\n  valueFrom:\n    secretKeyRef: 9f86d081884c7d659a2feaa0c55ad015",
    "value: 9f86d081884c7d659a2feaa0c55ad015",
    "the token is 550e8400-e29b-41d4-a716-446655440000",
    "the session token was revoked on 2024-11-28T10:00:00Z",
    "CACHE_KEY=9f86d081884c7d659a2feaa0c55ad015",
    "SSH_PUBLIC_KEY=AAAAC3NzaC1lZDI1NTE5AAAAIBhX9",
    "IDEMPOTENCY_KEY=9f86d081884c7d659a2feaa0c55ad015",
    "S3_KEY=9f86d081884c7d659a2feaa0c55ad015",
    "KEY=9f86d081884c7d659a2feaa0c55ad015",
    "monkey: 9f86d081884c7d659a2feaa0c55ad015",
    "auth: required, see chapter 4",
    "auth=oauth2-authorization-code",
    "pat: git-credential-manager",
    "password_hash_test: see the fixtures",
    "password-reset-2: sent to ada@example.com",
    "token_test=test_token_expires_after_an_hour",
    "Пароль: спросить у Анны",
};

/* A name as it stands before a random value, and what follows the value. */
static const struct {
    const char *before, *after;
} ASSIGNMENTS[] = {
    { "DB_PASSWORD=", "" },          { "POSTGRES_PASSWORD=", "" },   { "MYSQL_ROOT_PASSWORD=", "" },
    { "JWT_SECRET=", "" },           { "X-Api-Key: ", "" },          { "api_key=", "" },
    { "SECRET_KEY=", "" },           { "token: ", "" },              { "export GITHUB_TOKEN='", "'" },
    { "spring.datasource.password=", "" }, { "\"dbPassword\": \"", "\"" }, { "SMTP_PASS=", "" },
    { "RAILS_MASTER_KEY=", "" },     { "SECRET_KEY_BASE=", "" },     { "os.environ['API_TOKEN'] = '", "'" },
    { "clientSecret: `", "`" },      { "STRIPE_WEBHOOK_SECRET=", "" }, { "'secret' => '", "'" },
    { "<password>", "</password>" }, { "?access_token=", "&page=2" }, { "--token ", " --verbose" },
    { "login ada password ", "" },   { "Authorization: Token ", "" }, { "consumerKey := \"", "\"" },
    { "the API key is set: api-key=", "." }, { "{\\\"refresh_token\\\":\\\"", "\\\"}" },
    { "Passwort: ", "" },            { "AZURE_STORAGE_KEY=", "" },
    { "DB_PASSWORD_PROD=", "" },     { "password2: ", "" },          { "API_KEY_1=", "" },
    { "client-secret-old: ", "" },   { "APP_KEY=base64:", "=" },     { "AZURE_OPENAI_KEY=", "" },
    { "STRIPE_KEY_2=", "" },         { "GITHUB_PAT=", "" },          { "_auth = ", "" },
    { "DB_PASSWORD\t=\t", "" },      { "the password is ", ", I think" }, { "The API key was ", "." },
    { "- name: DB_PASSWORD\n  value: ", "\n" }, { "<add key=\"DbPassword\" value=\"", "\"/>" },
    { "[{\"name\":\"API_TOKEN\",\"value\":\"", "\"}]" },
    /* on different lines */
    { "password:\n  ", "\nport: 5432" },         { "password: |\n    ", "\n" },
    { "db:\n  password: >-\n    ", "\n  port: 5432\n" }, { "api_key: |2\r\n  ", "\r\n" },
    { "{\n  \"password\":\n    \"", "\",\n  \"port\": 5432\n}" },
    { "{\n\t\"clientSecret\" :\r\n\t\t\"", "\"\r\n}" },
    { "\"password\": [\n    \"", "\"\n  ]" }, { "tokens:\n  - ", "\n  - other" },
    { "<password>\n  ", "\n</password>" },     { "token = \"\"\"\n", "\n\"\"\"" },
    { "API_TOKEN=\\\n  ", "" },               { "Password:\n\n", "\n\nSee you" },
    { "API key\n", "\n" },                     { "## Client secret\n", "" },
    { "password = (\n    \"", "\"\n)" },
    { "{\n            \"name\": \"DB_PASSWORD\",\n            \"value\": \"", "\"\n        }" },
    { "<name>db.password</name>\n        <value>", "</value>" },
    { "<key>apiToken</key>\n\t<string>", "</string>" },
    /* in tables, behind types, arrows, commas and brackets */
    { "| API token | ", " |" },                 { "|password|", "|" },
    { "password\t", "\tada" },                  { "password      ", "" },
    { "const apiKey: string = '", "';" },       { "password -> ", "" },
    { "setPassword(\"", "\")" },                { "props.put(\"db.password\", \"", "\");" },
    { "CREATE USER ada IDENTIFIED BY '", "';" }, { "ALTER ROLE ada WITH PASSWORD '", "';" },
    { "**Password**: ", "" },                   { "token \"", "\"" },
    /* names */
    { "ACCESS_KEY_ID=", "" },                   { "Access Key ID: ", "" },
    { "\"accessKeyId\": \"", "\"" },            { "export MINIO_ACCESS_KEY_ID='", "'" },
    { "secret_id: ", "" },                      { "API_KEYS=", "" },
    { "SSHPASS=", "" },                         { "dbpass: ", "" },
    { "rootpw ", "" },                          { "requirepass ", "" },
    { "PGPASSWORD=", " psql -h db" },           { "curl --oauth2-bearer ", " https://x" },
    { "{\"label\":\"password\",\"value\":\"", "\"}" },
};

/* clang-format on */

static void
finds_credentials(void **state)
{
    assert_true(TEST_COUNT(POSITIVES) >= 60);
    for (size_t i = 0; i < TEST_COUNT(POSITIVES); i++) {
        char text[512];
        int len = snprintf(text, sizeof(text), "%s%s%s", POSITIVES[i].before, POSITIVES[i].rest,
                           POSITIVES[i].after);
        const char *kind = secrets_find(text, (size_t)len);
        if (!kind)
            fail_msg("missed: %s", text);
        assert_string_equal(kind, POSITIVES[i].kind);
        /* ... and inside of a longer text */
        char longer[1024];
        len = snprintf(longer, sizeof(longer), "We met on Monday. %s\nThen lunch.", text);
        if (!secrets_find(longer, (size_t)len))
            fail_msg("missed in a longer text: %s", text);
    }
}

static void
passes_ordinary_text(void **state)
{
    assert_true(TEST_COUNT(NEGATIVES) >= 60);
    for (size_t i = 0; i < TEST_COUNT(NEGATIVES); i++) {
        const char *kind = secrets_find(NEGATIVES[i], strlen(NEGATIVES[i]));
        if (kind)
            fail_msg("false alarm (%s): %s", kind, NEGATIVES[i]);
    }
}

static void
passes_harmless_text(void **state)
{
    assert_true(TEST_COUNT(HARMLESS) >= 80);
    for (size_t i = 0; i < TEST_COUNT(HARMLESS); i++) {
        const char *kind = secrets_find(HARMLESS[i], strlen(HARMLESS[i]));
        if (kind)
            fail_msg("false alarm (%s): %s", kind, HARMLESS[i]);
    }
}

/* Made when the test runs, always the same. */
static void
make_random(uint64_t *state, char *out, size_t len)
{
    static const char ALPHABET[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    for (size_t i = 0; i < len; i++) {
        *state = *state * 6364136223846793005U + 1442695040888963407U;
        out[i] = ALPHABET[(*state >> 33) % 62];
    }
    out[len] = '\0';
}

/* Random letters and digits from 16 on; of a hundred of that length one may look like a word. */
static void
finds_random_values(void **state)
{
    static const size_t LENGTHS[] = { 16, 20, 32, 40, 64 };
    uint64_t random = 42;
    size_t missed = 0, asked = 0;
    assert_true(TEST_COUNT(ASSIGNMENTS) * TEST_COUNT(LENGTHS) >= 80);
    for (size_t i = 0; i < 40 * TEST_COUNT(ASSIGNMENTS); i++)
        for (size_t j = 0; j < TEST_COUNT(LENGTHS); j++, asked++) {
            char value[65], text[256];
            make_random(&random, value, LENGTHS[j]);
            int len = snprintf(text, sizeof(text), "%s%s%s",
                               ASSIGNMENTS[i % TEST_COUNT(ASSIGNMENTS)].before, value,
                               ASSIGNMENTS[i % TEST_COUNT(ASSIGNMENTS)].after);
            if (secrets_find(text, (size_t)len))
                continue;
            missed++;
            print_message("# missed: %s\n", text);
            assert_true(LENGTHS[j] <= 20);
        }
    assert_true(missed * 200 <= asked);
}

static void
finds_sessions_and_passwords(void **state)
{
    static const char *const BEFORE[] = { "Cookie: session=", "Set-Cookie: JSESSIONID=",
                                          "PHPSESSID=", "Cookie: a=b; connect.sid=s%3A",
                                          "Cookie: theme=x; sid=" };
    static const char *const PASSWORDS[] = { "DB_PASSWORD=xK9#mP2$vL5@",
                                             "password: 'Tr0ub4dor&3x!q'", "pwd=aB3!aB3!aB3!" };
    uint64_t random = 7;
    for (size_t i = 0; i < TEST_COUNT(BEFORE); i++) {
        char value[65], text[128];
        make_random(&random, value, 64);
        int len = snprintf(text, sizeof(text), "%s%s", BEFORE[i], value);
        if (!secrets_find(text, (size_t)len))
            fail_msg("missed: %s", text);
    }
    for (size_t i = 0; i < TEST_COUNT(PASSWORDS); i++)
        if (!secrets_find(PASSWORDS[i], strlen(PASSWORDS[i])))
            fail_msg("missed: %s", PASSWORDS[i]);
}

/* The search passes over a word that is shorter than any key, or has a blank where each key has none. */
static void
every_form_is_long_enough(void **state)
{
    for (size_t i = 0; i < CREDENTIAL_COUNT; i++) {
        const struct credential *c = &CREDENTIALS[i];
        if (!c->kind)
            continue;
        assert_true(strlen(c->prefix) + c->min >= SECRETS_FORM_MIN);
        assert_null(strchr(c->prefix, ' '));
        assert_false(secrets_in_charset(' ', c->charset));
    }
}

static void
every_prefix_begins_a_credential(void **state)
{
    for (size_t i = 0; i < CREDENTIAL_COUNT; i++) {
        char word[300];
        memset(word, 'x', sizeof(word));
        memcpy(word, CREDENTIALS[i].prefix, strlen(CREDENTIALS[i].prefix));
        if (!CREDENTIALS[i].eager)
            continue;
        if (!credential_begins(word, sizeof(word)))
            fail_msg("not seen: %s", CREDENTIALS[i].prefix);
    }
    assert_false(credential_begins("", 0));
}

/* What each place of a text could make the search look at again; a search whose time grew with the
 * square would not end before the alarm. */
static void
takes_linear_time(void **state)
{
    static const char *const PIECES[] = {
        "=",
        ":",
        " ",
        "\"",
        "]",
        "SG.",
        "/ATATT3",
        "password=",
        "token ",
        "bearer ",
        "Basic/",
        "eyJaaaaaaaaaaaa.",
        "http://a:",
        "--",
        "-----BEGIN ",
        "sk-",
        "key key ",
        "a-",
        "xoxd-a.",
        "secret: =",
        "'`\\\"",
        "session=",
        ">",
        "MNOa.",
        "Authorization: ",
        "api key:",
        "\xC3\xA9=",
        "value=",
        "a value:",
        "token is ",
        "K_1_=",
        "-p ",
        " -pX",
        "m -p x ",
        "mysql -p",
        "curl -u a",
        "login -p",
        "- -p\n",
        "sshpass -p \\\n",
        " --password ",
        " --a=",
        "password:\n",
        "password: |\n ",
        "key\n",
        "token\n\n- ",
        "(\"",
        "\",\"",
        "string=",
        "</name><value>",
        " id key",
    };
    enum { SIZE = 2 << 20 };
    char *text = malloc(SIZE);
    assert_non_null(text);
    (void)alarm(240);
    for (size_t i = 0; i < TEST_COUNT(PIECES); i++) {
        size_t n = strlen(PIECES[i]);
        for (size_t at = 0; at < SIZE; at++)
            text[at] = PIECES[i][at % n];
        (void)secrets_find(text, SIZE);
    }
    (void)alarm(0);
    free(text);
}

static void
names_the_field(void **state)
{
    static const struct {
        const char *json, *field, *kind;
    } CASES[] = {
        { "{\"text\":\"x\",\"tags\":[\"a\",\"gh"
          "p_0a1b2c3d4e5f6g7h8i9j0k1l2m3n4o5p6q7r\"]}",
          "tags[1]", "GitHub token" },
        { "{\"metadata\":{\"a\":[{\"password\":\"Tr0ub4dor"
          "And3More\"}]}}",
          "metadata.a[0].password", "assigned credential" },
        { "{\"metadata\":{\"env\":[{\"name\":\"DB_PASSWORD\",\"value\":\"Tr0ub4dor"
          "And3More\"}]}}",
          "metadata.env[0].value", "assigned credential" },
        { "{\"metadata\":{\"args\":[\"mysql\",\"-u\",\"root\",\"-pTr0ub4dor"
          "And3More\"]}}",
          "metadata.args[3]", "password of a command" },
        { "{\"metadata\":{\"args\":[\"curl\",\"-u\",\"ada:Tr0ub4dor"
          "And3More\"]}}",
          "metadata.args[2]", "password of a command" },
        { "{\"metadata\":{\"args\":[\"tool\",\"--password\",\"Tr0ub4dor"
          "And3More\"]}}",
          "metadata.args[2]", "password of a command" },
        { "{\"metadata\":{\"password\":[\"Tr0ub4dor"
          "And3More\"]}}",
          "metadata.password[0]", "assigned credential" },
        { "{\"metadata\":{\"gh"
          "p_0a1b2c3d4e5f6g7h8i9j0k1l2m3n4o5p6q7r\":1}}",
          NULL, "GitHub token" },
    };
    for (size_t i = 0; i < TEST_COUNT(CASES); i++) {
        cJSON *doc = NULL;
        char field[SECRETS_FIELD_MAX] = "untouched";
        assert_int_equal(json_read(CASES[i].json, strlen(CASES[i].json), &doc, NULL), RC_OK);
        assert_string_equal(secrets_find_json(doc, field), CASES[i].kind);
        if (CASES[i].field)
            assert_string_equal(field, CASES[i].field);
        json_cleanup(&doc);
    }
}

static void
leaves_field_alone_when_clean(void **state)
{
    static const char JSON[] = "{\"text\":\"the API key\",\"metadata\":{\"password\":\"none\","
                               "\"args\":[\"mkdir\",\"-p\",\"Release2024x\",\"-pX2024abcd\",7,[],"
                               "\"-p\",\"mysql\",\"-p\",\"Shop2024x\"]}}";
    cJSON *doc = NULL;
    char field[SECRETS_FIELD_MAX] = "untouched";
    assert_int_equal(json_read(JSON, strlen(JSON), &doc, NULL), RC_OK);
    assert_null(secrets_find_json(doc, field));
    assert_string_equal(field, "untouched");
    json_cleanup(&doc);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_credentials),
        cmocka_unit_test(passes_ordinary_text),
        cmocka_unit_test(passes_harmless_text),
        cmocka_unit_test(finds_random_values),
        cmocka_unit_test(finds_sessions_and_passwords),
        cmocka_unit_test(every_form_is_long_enough),
        cmocka_unit_test(every_prefix_begins_a_credential),
        cmocka_unit_test(takes_linear_time),
        cmocka_unit_test(names_the_field),
        cmocka_unit_test(leaves_field_alone_when_clean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
