/* SPDX-License-Identifier: MIT */
#include "sandbox/rights.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

enum rc
rights_drop(const char *user, struct err *err)
{
    const struct passwd *entry;

    if (geteuid() != 0 && getuid() != 0)
        return RC_OK;
    entry = getpwnam(user);
    if (!entry || entry->pw_uid == 0 || entry->pw_gid == 0)
        return err_set(err, RC_CONFIG, "EXECUTOR_USER %s: not an unprivileged user here", user);
    if (setgroups(0, NULL) != 0 || setresgid(entry->pw_gid, entry->pw_gid, entry->pw_gid) != 0 ||
        setresuid(entry->pw_uid, entry->pw_uid, entry->pw_uid) != 0)
        return err_set(err, RC_CONFIG, "cannot become %s: %s", user, strerror(errno));
    if (setuid(0) == 0)
        return err_set(err, RC_CONFIG, "root could be regained");
    /* The change of user made /proc/self root's own; bwrap must be able to write its uid_map. */
    if (prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) != 0)
        return err_set(err, RC_CONFIG, "prctl: %s", strerror(errno));
    return RC_OK;
}
