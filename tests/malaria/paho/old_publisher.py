"""Publishes as the old `malaria publish` did, in Python 3: topics and payloads of its generators, one
connection and thread for each client. Prints one line of JSON when every message is acknowledged."""

import argparse
import json
import random
import threading
import time

import paho.mqtt.client as mqtt

ALPHABET = "0123456789abcdefABCDEF"


def gaussian_size(cid, count, size):
    """The generator of topics and bodies. Division was that of Python 2."""
    for num in range(1, count + 1):
        length = int(random.gauss(size, size // 20))
        body = "".join(random.choice(ALPHABET) for _ in range(length))
        yield num, "mqtt-malaria/%s/data/%d/%d" % (cid, num, count), body


def time_tracking(messages, early):
    """Puts the time in front; `early` seconds less than the clock says, which the old one could not."""
    for num, topic, body in messages:
        yield num, topic, "%f,%s" % (time.time() - early, body)


def rate_limited(messages, rate, jitter):
    """Waits after each message."""
    for message in messages:
        yield message
        time.sleep(1 / rate + random.uniform(-jitter / rate, jitter / rate))


def messages_of(cid, args):
    messages = gaussian_size(cid, args.msg_count, args.msg_size)
    if args.timing:
        messages = time_tracking(messages, args.early)
    if args.msgs_per_second > 0:
        messages = rate_limited(messages, args.msgs_per_second, args.jitter)
    return messages


class Worker(threading.Thread):
    """One client."""

    def __init__(self, index, args):
        super().__init__(daemon=True)
        self.cid = "%s-%d" % (args.clientid, index)
        self.args = args
        self.acked = 0
        self.connected = threading.Event()
        self.done = threading.Event()

    def run(self):
        client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=self.cid)
        client.max_inflight_messages_set(200)
        client.on_connect = lambda client, data, flags, reason, properties: self.connected.set()
        client.on_publish = self.on_publish
        client.connect(self.args.host, self.args.port, 60)
        client.loop_start()
        self.connected.wait()
        for _, topic, payload in messages_of(self.cid, self.args):
            result = client.publish(topic, payload, self.args.qos)
            assert result.rc == mqtt.MQTT_ERR_SUCCESS, result.rc
        self.done.wait()
        client.disconnect()
        client.loop_stop()

    def on_publish(self, client, data, mid, reason, properties):
        self.acked += 1
        if self.acked == self.args.msg_count:
            self.done.set()


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("-c", "--clientid", default="old")
    parser.add_argument("-H", "--host", default="localhost")
    parser.add_argument("-p", "--port", type=int, default=1883)
    parser.add_argument("-q", "--qos", type=int, default=1)
    parser.add_argument("-n", "--msg_count", type=int, default=10)
    parser.add_argument("-s", "--msg_size", type=int, default=100)
    parser.add_argument("-t", "--timing", action="store_true")
    parser.add_argument("-T", "--msgs_per_second", type=float, default=0)
    parser.add_argument("--jitter", type=float, default=0.1)
    parser.add_argument("-P", "--processes", type=int, default=1)
    parser.add_argument("--early", type=float, default=0)
    return parser.parse_args()


def main():
    args = arguments()
    workers = [Worker(index, args) for index in range(args.processes)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    print(json.dumps({"acked": {worker.cid: worker.acked for worker in workers}}), flush=True)


main()
