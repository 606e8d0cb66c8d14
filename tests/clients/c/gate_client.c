/*
 * Works on a ZooKeeper through the C client with TLS, and prints one line per step: step<TAB>outcome.
 *
 *   gate_client HOST:PORT CA.pem,CERT.pem,KEY.pem,PASSWORD ROOT [user:password]
 *
 * Without the last argument the program adds no auth of its own: a stray auth reply then ends it by SIGSEGV.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <zookeeper.h>

enum { PATIENCE_S = 20, TIMEOUT_MS = 10000 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int connected;
static int data_events;
static int auth_result = 1;

static void on_event(zhandle_t *zh, int type, int state, const char *path, void *context) {
    (void)zh, (void)path, (void)context;
    pthread_mutex_lock(&lock);
    if (type == ZOO_SESSION_EVENT) {
        connected = state == ZOO_CONNECTED_STATE;
    } else if (type == ZOO_CHANGED_EVENT) {
        data_events++;
    }
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static void on_auth(int rc, const void *data) {
    (void)data;
    pthread_mutex_lock(&lock);
    auth_result = rc;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

/* Waits until *value is wanted; ends the program when patience does. */
static void await(const char *what, const int *value, int wanted) {
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PATIENCE_S;
    pthread_mutex_lock(&lock);
    while (*value != wanted) {
        if (pthread_cond_timedwait(&changed, &lock, &until) != 0) {
            printf("%s\tnever\n", what);
            exit(1);
        }
    }
    pthread_mutex_unlock(&lock);
    printf("%s\tyes\n", what);
}

static void print_acl(zhandle_t *zh, const char *path) {
    struct ACL_vector acl;
    struct Stat stat;
    int rc = zoo_get_acl(zh, path, &acl, &stat);
    printf("acl\t%s", rc == ZOK ? "" : zerror(rc));
    for (int i = 0; rc == ZOK && i < acl.count; i++) {
        printf("%s%s:%s:%d", i == 0 ? "" : " ", acl.data[i].id.scheme, acl.data[i].id.id, acl.data[i].perms);
    }
    printf("\n");
    if (rc == ZOK) {
        deallocate_ACL_vector(&acl);
    }
}

int main(int argc, char **argv) {
    if (argc < 4) {
        fprintf(stderr, "usage: gate_client HOST:PORT CA,CERT,KEY,PASSWORD ROOT [user:password]\n");
        return 64;
    }
    const char *root = argv[3];
    zhandle_t *zh = zookeeper_init_ssl(argv[1], argv[2], on_event, TIMEOUT_MS, NULL, NULL, 0);
    if (zh == NULL) {
        perror("zookeeper_init_ssl");
        return 1;
    }
    await("connected", &connected, 1);
    if (argc > 4) {
        zoo_add_auth(zh, "digest", argv[4], (int)strlen(argv[4]), on_auth, NULL);
        await("auth", &auth_result, ZOK);
    }

    char path[512];
    char data[64];
    int length = sizeof data;
    struct Stat stat;
    int rc = zoo_create(zh, root, "v0", 2, &ZOO_CREATOR_ALL_ACL, 0, path, sizeof path);
    printf("create\t%s\n", rc == ZOK ? path : zerror(rc));
    print_acl(zh, root);

    rc = zoo_wget(zh, root, on_event, NULL, data, &length, &stat);
    printf("get\t%.*s\n", rc == ZOK ? length : 0, data);
    rc = zoo_set(zh, root, "v1", 2, 0);
    printf("set\t%s\n", zerror(rc));
    await("data event", &data_events, 1);

    /* Each of these answers comes with an event, back to back. */
    int rounds = 0;
    while (rounds < 50) {
        length = sizeof data;
        rc = zoo_wget(zh, root, on_event, NULL, data, &length, &stat);
        rc = rc == ZOK ? zoo_set(zh, root, "v", 1, -1) : rc;
        if (rc != ZOK) {
            printf("round %d\t%s\n", rounds, zerror(rc));
            break;
        }
        rounds++;
    }
    printf("rounds\t%d\n", rounds);
    printf("set again\t%s\n", zerror(zoo_set(zh, root, "v2", 2, 0)));

    printf("close\t%s\n", zerror(zookeeper_close(zh)));
    return 0;
}
