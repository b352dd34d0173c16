from flask import Flask
from flask_sock import Sock

app = Flask(__name__)
sock = Sock(app)


@app.route("/")
def index():
    return "<script>new WebSocket(`ws://${location.host}/echo`)</script>"


@sock.route("/echo")
def echo(ws):
    while True:
        ws.send(ws.receive())
