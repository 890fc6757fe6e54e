/* status_page.html, taken into the program as it is. */
#include "dispatcher/web.h"

__asm__(".section .rodata\n"
        ".global web_page\n"
        ".global web_page_end\n"
        "web_page:\n"
        ".incbin \"dispatcher/status_page.html\"\n"
        "web_page_end:\n"
        ".byte 0\n"
        ".previous\n");
