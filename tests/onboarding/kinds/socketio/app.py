from flask import Flask
from flask_socketio import SocketIO, emit

app = Flask(__name__)
app.config["SECRET_KEY"] = "secret!"
socketio = SocketIO(app)


@app.route("/")
def index():
    return "<script>io().emit('my event', {data: 'connected'})</script>"


@socketio.on("my event")
def handle_my_event(message):
    emit("my response", {"data": message["data"]})


if __name__ == "__main__":
    socketio.run(app)
