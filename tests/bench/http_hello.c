/* SPDX-License-Identifier: MIT */
/*
 * http_hello - the floor of the gateway: plain libmicrohttpd, driven in the same way, that answers
 * every request with the same few bytes. usage: http_hello PORT
 */
#include <microhttpd.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

static enum MHD_Result
hello(void *arg, struct MHD_Connection *c, const char *url, const char *method, const char *version,
      const char *upload, size_t *size, void **context)
{
    static int seen;
    static char text[] = "{\"status\":\"ok\"}";

    (void)arg, (void)url, (void)method, (void)version, (void)upload;
    if (!*context) {
        *context = &seen;
        return MHD_YES;
    }
    if (*size) {
        *size = 0;
        return MHD_YES;
    }
    struct MHD_Response *r =
        MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_PERSISTENT);
    enum MHD_Result queued = MHD_queue_response(c, 200, r);
    MHD_destroy_response(r);
    return queued;
}

int
main(int argc, char **argv)
{
    unsigned short port = argc > 1 ? (unsigned short)strtoul(argv[1], NULL, 10) : 0;
    struct MHD_Daemon *d =
        MHD_start_daemon(MHD_USE_EPOLL | MHD_USE_TURBO, port, NULL, NULL, hello, NULL,
                         MHD_OPTION_CONNECTION_LIMIT, 4096u, MHD_OPTION_END);
    if (!d)
        return 1;
    struct pollfd p = { .fd = MHD_get_daemon_info(d, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd,
                        .events = POLLIN };
    for (;;) {
        MHD_UNSIGNED_LONG_LONG wait_ms = 0;
        int waits = MHD_get_timeout(d, &wait_ms) == MHD_YES;
        (void)poll(&p, 1, waits && wait_ms < 250 ? (int)wait_ms : 250);
        (void)MHD_run(d);
    }
}
