/* The first fault found is told. */
#include "cluster/settings_check.h"

#include "base/mem.h"
#include "cluster/dsn_settings.h"
#include "cluster/lane.h"
#include "cluster/retry_schedule.h"
#include "cluster/tls_setting.h"
#include "cluster/tlsrpt_settings.h"
#include "cluster/transport.h"
#include "mail/bounce.h"

int settings_check(const struct conf *conf, char **ret_error)
{
    static int (*const checks[])(const struct conf *, char **) = {
        lanes_check,        tls_settings_check,    transports_check,     dsn_settings_check,
        bounce_rules_check, retry_schedules_check, tlsrpt_settings_check};
    int r = 0;

    for (size_t i = 0; r == 0 && i < ARRAY_LEN(checks); i++)
        r = checks[i](conf, ret_error);
    return r;
}
