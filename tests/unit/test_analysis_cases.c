/* SPDX-License-Identifier: MIT */
/*
 * test_analysis_cases - what people store and what they type: scripts, identifiers, accents, words.
 */
#include "match.h"

static void
scripts_without_blanks(void **state)
{
    static const struct match_case CASES[] = {
        { "今日は成語しりとりをした", "しりとり", true },
        { "今日は成語しりとりをした", "しりあい", false },
        { "今天玩成语接龙游戏", "成语接龙", true },
        { "今天玩成语接龙游戏", "接龙成语", false },
        { "今天玩成语接龙游戏", "玩", true },
        { "민수는 부산에서 커피숍을 열었다", "커피숍", true },
        { "민수는 부산에서 커피숍을 열었다", "부산", true },
        { "민수는 부산에서 커피숍을 열었다", "서울", false },
        { "집에서 일한다", "집", true },
        { "部署流程：先运行 make build，然后部署方案交给老王", "go 部署 deployment", true },
        { "部署流程：先运行 make build，然后部署方案交给老王", "部署方案", true },
        { "部署流程：先运行 make build，然后部署方案交给老王", "部署方案 go deployment", true },
        { "サーバーの再起動手順", "再起動", true },
        { "ｻｰﾊﾞｰの再起動手順", "サーバー", true },
        { "iPhoneを買った", "iphone", true },
        { "การประชุมครั้งต่อไปวันศุกร์", "ประชุม", true },
        { "การประชุมครั้งต่อไปวันศุกร์", "อาหาร", false },
        { "𠮷野家で昼ごはん", "𠮷野家", true },
        { "Встреча с заказчиком перенесена на пятницу", "заказчики", true },
        { "Встреча с заказчиком перенесена на пятницу", "перенести пятница", false },
        { "Η συνάντηση με τους πελάτες", "πελάτης", true },
        { "मेरी किताब मेज पर है", "किताबें", true },
        { "docker контейнер не запускается", "контейнеры docker", true },
        { "🎉 release party", "🎉", true },
    };
    match_all(CASES, TEST_COUNT(CASES));
}

static void
identifiers_whole_and_split(void **state)
{
    static const char URL[] = "https://www.canlii.org/en/on/laws/stat/rso-1990?lang=en&page=2";
    static const char TRACE[] = "File \"/srv/app/payments/stripe_client.py\", line 3";
    static const struct match_case CASES[] = {
        { "getUserById", "user by id", true },
        { "getUserById", "getuserbyid", true },
        { "call getUserById(7)", "get_user_by_id", true },
        { "get_user_by_id", "getUserById", true },
        { "getUserById", "user by name", false },
        { "an iPhone15 case", "iphone", true },
        { "an iPhone15 case", "iphone 15", true },
        { "an iPhone15 case", "iphone15", true },
        { "an iPhone15 case", "phone", true },
        { "an iPhone 15 case", "iPhone15", true },
        { "OAuth2Client.connect()", "oauth", true },
        { "OAuth2Client.connect()", "oauth2", true },
        { "OAuth2Client.connect()", "oauth2client", true },
        { "web3NodePool2 is full", "nodepool", true },
        { "web3NodePool2 is full", "node pool", true },
        { "a PlayStation5 and a GeForce4080Ti", "playstation geforce", true },
        { "Привет2Мир", "привет", true },
        { "OvertimeService, AttendanceRepository", "overtime service", true },
        { "OvertimeService, AttendanceRepository", "attendance repository", true },
        { "parseHTTPResponse", "http response", true },
        { "all the URLs and IDs", "url id", true },
        { "screenshot foo.png is attached", "foo", true },
        { "screenshot foo.png is attached", "foo.png", true },
        { URL, "canlii", true },
        { URL, "canlii.org", true },
        { URL, "rso-1990", true },
        { URL, "canlii.com", false },
        { TRACE, "stripe_client.py", true },
        { TRACE, "stripe_client", true },
        { TRACE, "payments", true },
        { TRACE, "/srv/app/payments/stripe_client.py", true },
        { "Hikvision DS-7604NI-E1/4P/A", "DS-7604", true },
        { "Hikvision DS-7604NI-E1/4P/A", "DS-7604NI", true },
        { "Hikvision DS-7604NI-E1/4P/A", "ds7604ni", true },
        { "Hikvision DS-7604NI-E1/4P/A", "DS-7605", false },
        { "ada.lovelace@example.com", "lovelace", true },
        { "ada.lovelace@example.com", "example.com", true },
        { "POST /v1/orders/{id}/refund", "orders refund", true },
        { "postgresql.conf", "postgresql", true },
        { "see the e-mail of monday", "email", true },
        { "see the email of monday", "e-mail", true },
        { "upgrade to v2.10.3 first", "2.10.3", true },
        { "upgrade to v2.10.3 first", "2.1", false },
        { "costs 1,000 euro", "1000", true },
        { "std::unordered_map is slow", "unordered map", true },
        { "C:\\Users\\ada\\notes.txt", "notes.txt", true },
        { "app.kubernetes.io/name", "kubernetes", true },
        { "--max-old-space-size=4096", "old space", true },
        { "192.168.0.17 answers", "192.168.0.17", true },
        { "commit d07c7cf90934e3b573123f34e1cd8211a1e70049",
          "d07c7cf90934e3b573123f34e1cd8211a1e70049", true },
    };
    match_all(CASES, TEST_COUNT(CASES));
}

static void
normal_forms_and_case(void **state)
{
    static const struct match_case CASES[] = {
        { "caf\u00e9", "cafe\u0301", true },
        { "cafe\u0301", "caf\u00e9", true },
        { "ΟΔΥΣΣΕΥΣ", "οδυσσευς", true },
        { "οδυσσεύς", "ΟΔΥΣΣΕΥΣ", true },
        { "Bergstraße", "BERGSTRASSE", true },
        { "BERGSTRASSE", "bergstraße", true },
        { "IŞIK", "ışık", true },
        { "ışık", "IŞIK", true },
        { "İstanbul", "istanbul", true },
        { "Müller", "muller", true },
        { "Müller", "mueller", true },
        { "Mueller", "müller", true },
        { "محمد", "مُحَمَّد", true },
        { "مُحَمَّد", "محمد", true },
        { "Nguyễn", "nguyen", true },
        { "Đà Nẵng", "da nang", true },
        { "Łódź", "lodz", true },
        { "the résumé", "resumes", true },
        { "ｆｕｌｌｗｉｄｔｈ", "fullwidth", true },
        { "of\ufb01ce", "office", true },
        { "co\u00adoperate", "cooperate", true },
        { "ёлка", "елка", true },
        { "Ма\u0301ркс", "Маркс", true },
        { "שָׁלוֹם", "שלום", true },
        { "٤٢", "42", true },
        { "schön", "schon", true },
    };
    match_all(CASES, TEST_COUNT(CASES));
    assert_true(match_score("schön", "schön") > match_score("schön", "schon"));
}

static void
function_words_count(void **state)
{
    static const char HAMLET[] = "To be or not to be, that is the question";
    static const char TAR[] = "extract with tar -xvf backup.tar.gz into /srv";
    static const struct match_case CASES[] = {
        { HAMLET, "to be or not to be", true },
        { HAMLET, "\"not to be\"", true },
        { HAMLET, "\"be to not\"", false },
        { "Don Quixote is the favourite book of Will", "Will", true },
        { "Don Quixote is the favourite book of Will", "Don", true },
        { "… discussed with IT", "IT", true },
        { "we don't know", "don", false },
        { "we don't know", "dont", true },
        { "the user's name", "user", true },
        { "the deployment of the server", "where is the deployment", true },
        { TAR, "tar -xvf", true },
        { "tar xvf is the same", "tar -xvf", false },
        { "tar and zip", "tar -zip", false },
        { "tar only", "tar -zip", true },
        { "git commit --amend", "commit --amend", true },
    };
    match_all(CASES, TEST_COUNT(CASES));
    assert_true(match_score("Will", "a book of Will") > match_score("Will", "he will come"));
    assert_true(match_score("IT", "talk to IT") > match_score("IT", "talk about it"));
}

static void
stems_by_language(void **state)
{
    static const struct match_case CASES[] = {
        { "deployments were deployed", "deploying", true },
        { "Die Häuser der Nachbarn sind alt und die Gärten klein", "Haus", true },
        { "Die Häuser der Nachbarn sind alt und die Gärten klein", "Garten", true },
        { "Los usuarios prefieren las respuestas cortas en español", "usuario prefiere", true },
        { "Les utilisateurs ont préféré les réponses courtes", "réponse utilisateur", true },
    };
    match_all(CASES, TEST_COUNT(CASES));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scripts_without_blanks), cmocka_unit_test(identifiers_whole_and_split),
        cmocka_unit_test(normal_forms_and_case),  cmocka_unit_test(function_words_count),
        cmocka_unit_test(stems_by_language),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
