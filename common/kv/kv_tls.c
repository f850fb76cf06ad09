/* SPDX-License-Identifier: MIT */
/*
 * kv_tls - TLS to Redis, where hiredis has it (Debian 13); elsewhere a clear refusal.
 *
 * hiredis' own context checks the chain but not the name, so the session is made here: peer and
 * host name verified, TLS 1.2 or later.
 */
#include "kv/kv_own.h"

#ifdef HAVE_HIREDIS_SSL

#include <hiredis/hiredis_ssl.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>

enum rc
kv_tls_new(const struct kv_url *url, void **out, struct err *err)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    if (!context)
        return err_set(err, RC_TEMP, "no TLS context");
    (void)SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    int ok = url->ca_file[0] ? SSL_CTX_load_verify_locations(context, url->ca_file, NULL)
                             : SSL_CTX_set_default_verify_paths(context);
    if (ok == 1 && url->cert_file[0])
        ok = SSL_CTX_use_certificate_chain_file(context, url->cert_file);
    if (ok == 1 && url->key_file[0])
        ok = SSL_CTX_use_PrivateKey_file(context, url->key_file, SSL_FILETYPE_PEM);
    if (ok != 1) {
        SSL_CTX_free(context);
        return err_set(err, RC_CONFIG, "a TLS file of the Redis URL cannot be used");
    }
    *out = context;
    return RC_OK;
}

void
kv_tls_free(void *tls)
{
    SSL_CTX_free(tls);
}

enum rc
kv_tls_start(void *tls, const struct kv_url *url, redisContext *context, struct err *err)
{
    SSL *ssl = SSL_new(tls);
    if (!ssl)
        return err_set(err, RC_TEMP, "no TLS session");
    X509_VERIFY_PARAM *check = SSL_get0_param(ssl);
    bool named =
        X509_VERIFY_PARAM_set1_ip_asc(check, url->host) == 1 ||
        (SSL_set1_host(ssl, url->host) == 1 && SSL_set_tlsext_host_name(ssl, url->host) == 1);
    if (!named) {
        SSL_free(ssl);
        return err_set(err, RC_CONFIG, "the Redis URL's host is not a name for TLS");
    }
    if (redisInitiateSSL(context, ssl) != REDIS_OK) /* owns ssl now, also when it fails later */
        return err_set_of(err, SERVER_REDIS, RC_TEMP, "TLS to Redis: %s", context->errstr);
    return RC_OK;
}

#else

enum rc
kv_tls_new(const struct kv_url *url, void **out, struct err *err)
{
    (void)url;
    (void)out;
    return err_set(err, RC_CONFIG,
                   "rediss:// needs a hiredis with TLS, which this system does not have "
                   "(Debian 13 and the containers do)");
}

void
kv_tls_free(void *tls)
{
    (void)tls;
}

enum rc
kv_tls_start(void *tls, const struct kv_url *url, redisContext *context, struct err *err)
{
    (void)tls;
    (void)url;
    (void)context;
    return err_set(err, RC_CONFIG, "no TLS");
}

#endif
