/* SPDX-License-Identifier: MIT */
#include "recipe/message.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/utf8.h"
#include "crypto/crypto_encode.h"
#include "recipe/fill.h"

#define ADDRESS_MAX 254
#define WORD_BYTES  42 /* of an encoded word: with its frame within 76 characters */
#define LINE_BYTES  57 /* of base64 in a line of 76 */

/* An addr-spec of the common form; what has quotes, comments or a route is none. */
static bool
is_address(const char *text)
{
    static const char LOCAL[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!#$%&'*+-/=?^_`{|}~.";
    static const char DOMAIN[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-";
    size_t local = strspn(text, LOCAL);
    if (local == 0 || text[local] != '@' || strlen(text) > ADDRESS_MAX)
        return false;
    const char *domain = text + local + 1;
    size_t len = strspn(domain, DOMAIN);
    return len > 0 && domain[len] == '\0' && domain[0] != '.' && domain[len - 1] != '.';
}

static enum rc
put_address(struct buf *out, const cJSON *value, const char *member, struct err *err)
{
    if (!cJSON_IsString(value) || !is_address(value->valuestring))
        return err_set(err, RC_INVALID, "%s: an address looks like name@example.com", member);
    buf_puts(out, value->valuestring);
    return RC_OK;
}

/* "To: a@b,\r\n c@d\r\n": one address a line. */
static enum rc
put_addresses(struct buf *out, const char *header, const cJSON *list, const char *member,
              struct err *err)
{
    const cJSON *item;
    bool first = true;
    if (!list || (cJSON_IsArray(list) && cJSON_GetArraySize(list) == 0))
        return RC_OK;
    buf_printf(out, "%s: ", header);
    enum rc rc = cJSON_IsArray(list) ? RC_OK : put_address(out, list, member, err);
    if (cJSON_IsArray(list)) {
        cJSON_ArrayForEach (item, list) {
            if (rc == RC_OK && !first)
                buf_puts(out, ",\r\n ");
            first = false;
            if (rc == RC_OK)
                rc = put_address(out, item, member, err);
        }
    }
    buf_puts(out, "\r\n");
    return rc;
}

static void
put_base64(struct buf *out, const char *bytes, size_t len)
{
    char line[BASE64_LEN(LINE_BYTES)];
    for (size_t at = 0; at < len; at += LINE_BYTES) {
        size_t n = len - at < LINE_BYTES ? len - at : LINE_BYTES;
        base64_encode((const uint8_t *)bytes + at, n, line);
        buf_printf(out, "%s\r\n", line);
    }
}

/* RFC 2047: words of whole characters, always encoded, so that no text is taken for structure. */
static void
put_subject(struct buf *out, const char *text)
{
    size_t len = strlen(text);
    char word[BASE64_LEN(WORD_BYTES)];
    buf_puts(out, "Subject:");
    for (size_t at = 0; at < len;) {
        size_t n = 0;
        uint32_t code = 0;
        for (size_t step; at + n < len &&
                          (step = utf8_decode(text + at + n, len - at - n, &code)) &&
                          n + step <= WORD_BYTES;)
            n += step;
        if (n == 0)
            break;
        base64_encode((const uint8_t *)text + at, n, word);
        buf_printf(out, "%s =?utf-8?B?%s?=", at ? "\r\n" : "", word);
        at += n;
    }
    buf_puts(out, "\r\n");
}

static void
put_date(struct buf *out, int64_t date_ms)
{
    static const char *const DAYS[] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
    static const char *const MONTHS[] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                          "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
    time_t seconds = (time_t)(date_ms / 1000);
    struct tm tm = { 0 };
    (void)gmtime_r(&seconds, &tm);
    buf_printf(out, "Date: %s, %02d %s %04d %02d:%02d:%02d +0000\r\n", DAYS[tm.tm_wday], tm.tm_mday,
               MONTHS[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

/* --- parts ------------------------------------------------------------------------------------------------ */

static void
put_text(struct buf *out, const char *subtype, const char *text)
{
    buf_printf(out,
               "Content-Type: text/%s; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n",
               subtype);
    put_base64(out, text, strlen(text));
}

static void
put_bodies(struct buf *out, const cJSON *mail, const char *id)
{
    const char *text = json_string(mail, "text");
    const char *html = json_string(mail, "html");
    if (!html || !text) {
        put_text(out, html ? "html" : "plain", html ? html : text ? text : "");
        return;
    }
    buf_printf(out, "Content-Type: multipart/alternative; boundary=\"=_a_%s\"\r\n\r\n", id);
    buf_printf(out, "--=_a_%s\r\n", id);
    put_text(out, "plain", text);
    buf_printf(out, "--=_a_%s\r\n", id);
    put_text(out, "html", html);
    buf_printf(out, "--=_a_%s--\r\n", id);
}

static bool
is_media_type(const char *type)
{
    static const char TOKEN[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!#$&-^_.+";
    size_t len = strspn(type, TOKEN);
    const char *rest = type + len + 1;
    return len > 0 && type[len] == '/' && *rest && rest[strspn(rest, TOKEN)] == '\0' &&
           strlen(type) < 128 && strncasecmp(type, "multipart/", 10) != 0 &&
           strncasecmp(type, "message/", 8) != 0;
}

static enum rc
put_attachment(struct buf *out, const cJSON *item, struct err *err)
{
    const char *name = json_string(item, "name");
    const char *type = json_string(item, "type");
    const char *data = json_string(item, "data");
    size_t cap = data ? strlen(data) : 0, len = 0;
    AUTO(free) char *bytes = malloc(cap + 1);
    if (!bytes)
        log_no_memory("an attachment");
    if (!type)
        type = "application/octet-stream";
    if (!name || !*name || !is_media_type(type))
        return err_set(err, RC_INVALID,
                       "attachments: each has a name and a media type such as application/pdf");
    if (!data || base64_decode(data, cap, (uint8_t *)bytes, cap, &len) != RC_OK)
        return err_set(err, RC_INVALID, "attachments: data is not base64");
    buf_printf(out, "Content-Type: %s\r\nContent-Transfer-Encoding: base64\r\n", type);
    buf_puts(out, "Content-Disposition: attachment; filename*=UTF-8''");
    fill_percent(out, name, strlen(name));
    buf_puts(out, "\r\n\r\n");
    put_base64(out, bytes, len);
    return RC_OK;
}

static enum rc
put_content(struct buf *out, const cJSON *mail, const char *id, struct err *err)
{
    const cJSON *attachments = json_member(mail, "attachments");
    const cJSON *item;
    enum rc rc = RC_OK;
    buf_puts(out, "MIME-Version: 1.0\r\n");
    if (cJSON_GetArraySize(attachments) == 0) {
        put_bodies(out, mail, id);
        return RC_OK;
    }
    buf_printf(out, "Content-Type: multipart/mixed; boundary=\"=_m_%s\"\r\n\r\n--=_m_%s\r\n", id,
               id);
    put_bodies(out, mail, id);
    cJSON_ArrayForEach (item, attachments) {
        buf_printf(out, "--=_m_%s\r\n", id);
        if (rc == RC_OK)
            rc = put_attachment(out, item, err);
    }
    buf_printf(out, "--=_m_%s--\r\n", id);
    return rc;
}

enum rc
message_write(const cJSON *mail, int64_t date_ms, struct buf *out, struct err *err)
{
    static const struct {
        const char *header, *member;
    } ADDRESSES[] = { { "From", "from" },
                      { "Reply-To", "reply_to" },
                      { "To", "to" },
                      { "Cc", "cc" },
                      { "Bcc", "bcc" } };
    const char *id = json_string(mail, "id");
    const char *subject = json_string(mail, "subject");
    enum rc rc = RC_OK;
    for (size_t i = 0; i < ARRAY_LEN(ADDRESSES) && rc == RC_OK; i++)
        rc = put_addresses(out, ADDRESSES[i].header, json_member(mail, ADDRESSES[i].member),
                           ADDRESSES[i].member, err);
    if (rc != RC_OK)
        return rc;
    put_subject(out, subject ? subject : "");
    put_date(out, date_ms);
    buf_printf(out, "Message-ID: <%s@gantry.invalid>\r\n", id ? id : "0");
    rc = put_content(out, mail, id ? id : "0", err);
    return rc == RC_OK && buf_failed(out) ? err_set(err, RC_LIMIT, "the message is too long") : rc;
}
