"""Listens as the old `malaria subscribe` did, in Python 3, with its reading of topics and payloads. Prints
`complete` when the expected messages are in, and one line of JSON when it is interrupted."""

import argparse
import collections
import json
import math
import signal
import time

import paho.mqtt.client as mqtt


def spread(values):
    """Mean and bounds in seconds."""
    if not values:
        return None
    return {"mean": math.fsum(values) / len(values), "min": min(values), "max": max(values)}


class Listener:
    def __init__(self, args):
        self.args = args
        self.seen = {}
        self.count = 0
        self.unreadable = []
        self.exact = []
        self.truncated = []
        self.lengths = []
        self.times = []
        self.totals = set()

    def on_connect(self, client, data, flags, reason, properties):
        client.subscribe(self.args.topic, self.args.qos)

    def on_message(self, client, data, message):
        now = time.time()
        try:
            self.read(message, now)
        except (IndexError, ValueError) as error:
            self.unreadable.append("%s: %s" % (message.topic, error))
        if self.count == self.args.msg_count * self.args.client_count:
            print("complete", flush=True)

    def read(self, message, now):
        segments = message.topic.split("/")
        cid, number = segments[1], int(segments[3])
        stamp, body = message.payload.decode("ascii").split(",", 1)
        sent = float(stamp)
        if len(stamp.split(".")[1]) != 6 or set(body) - set("0123456789abcdefABCDEF"):
            raise ValueError("not as the old generators wrote it: %r" % message.payload)
        self.exact.append(now - sent)
        # The old one lost the fraction of the stamp here.
        self.truncated.append(now - time.mktime(time.localtime(sent)))
        self.seen.setdefault(cid, []).append(number)
        self.count += 1
        self.lengths.append(len(body))
        self.times.append(now)
        self.totals.add(segments[4])

    def client(self, cid):
        numbers = self.seen[cid]
        missing = set(range(1, self.args.msg_count + 1)) - set(numbers)
        twice = [number for number, count in collections.Counter(numbers).items() if count > 1]
        return {"received": len(numbers), "missing": sorted(missing), "duplicated": sorted(twice)}

    def report(self):
        return {
            "clients": {cid: self.client(cid) for cid in self.seen},
            "count": self.count,
            "unreadable": self.unreadable,
            "flight": spread(self.exact),
            "flight_truncated": spread(self.truncated),
            "body_length": spread(self.lengths),
            "totals": sorted(self.totals),
            "span": self.times[-1] - self.times[0] if self.times else None,
        }


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("-c", "--clientid", default="old-listener")
    parser.add_argument("-H", "--host", default="localhost")
    parser.add_argument("-p", "--port", type=int, default=1883)
    parser.add_argument("-q", "--qos", type=int, default=1)
    parser.add_argument("-n", "--msg_count", type=int, default=10)
    parser.add_argument("-N", "--client_count", type=int, default=1)
    parser.add_argument("-t", "--topic", default="mqtt-malaria/+/data/#")
    return parser.parse_args()


def main():
    # Before there are threads, so that all of them leave the signal to the wait below.
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    args = arguments()
    listener = Listener(args)
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=args.clientid)
    client.on_connect = listener.on_connect
    client.on_message = listener.on_message
    client.connect(args.host, args.port, 60)
    client.loop_start()
    signal.sigwait([signal.SIGINT])
    client.disconnect()
    client.loop_stop()
    print(json.dumps(listener.report()), flush=True)


main()
