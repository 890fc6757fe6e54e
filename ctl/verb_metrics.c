/* metrics: what nodes tell Prometheus, as pages made of the tables. */
#include "ctl/metrics.h"
#include "ctl/print.h"
#include "ctl/verb.h"

int verb_metrics(const struct arguments *a)
{
    AUTO_BUF struct buf out = {.data = NULL};

    if (argument_is_given(a, "alerts") && argument_is_given(a, "dashboard"))
        return say_usage("--alerts and --dashboard are two pages: name one");
    if (argument_is_given(a, "alerts"))
        metrics_print_alerts(&out);
    else if (argument_is_given(a, "dashboard"))
        metrics_print_dashboard(&out);
    else
        metrics_print_markdown(&out);
    print_page(&out, a->is_json);
    return EXIT_OK;
}
