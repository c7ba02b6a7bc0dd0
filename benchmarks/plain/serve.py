"""How gunicorn serves it: as many threads as there are connections in the rows that compare."""

import os

bind = f"{os.environ.get('BIND', '127.0.0.1')}:{os.environ['PORT']}"
wsgi_app = "app:app"
workers = 2
threads = 16
keepalive = 5
control_socket_disable = True
