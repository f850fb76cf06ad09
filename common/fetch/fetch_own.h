/* SPDX-License-Identifier: MIT */
/*
 * fetch_own - what the files of the libcurl door share; nobody else includes it.
 */
#ifndef GANTRY_FETCH_FETCH_OWN_H
#define GANTRY_FETCH_FETCH_OWN_H

#include <curl/curl.h>

#include "fetch/fetch.h"

enum rc fetch_check_url(const char *url, struct err *err);
/* Only http and https, no redirects, no proxy, no netrc; answers go to a struct buf. */
void fetch_restrict(CURL *curl);
size_t fetch_write(char *data, size_t size, size_t count, void *arg);

struct curl_slist *fetch_header(struct curl_slist *list, const char *line);
void fetch_wipe_headers(struct curl_slist *list);

enum rc fetch_rc_from_curl(int code);
enum rc fetch_rc_from_status(long status);
uint32_t fetch_delay_ms(unsigned attempt, long retry_after_s);

#endif
