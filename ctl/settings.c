/* The settings of one run of baridctl. */
#include "ctl/settings.h"

#include "base/mem.h"
#include "io/yaml.h"

int settings_use(const struct arguments *a)
{
    struct conf *conf;
    AUTO_FREE char *error = NULL;

    if (conf_load(a->config_file, yaml_read_settings, &conf, &error) < 0)
        return say_failed("%s", error);
    conf_set(conf);
    return EXIT_OK;
}
